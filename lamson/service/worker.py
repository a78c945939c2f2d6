"""A worker: what it is to its supervisor, and what its supervisor is to it.

For the supervisor, and for the front ends, which say by a `Group` what their workers listen on, how
many there are and what they do. A worker tells by its `Link` that it is ready, why it is not, or
that it wants to be replaced; the supervisor reads that as the attributes of a `Worker`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.errors import SettingsError
from lamson.net.listen import bind, describe
from lamson.settings.listening import Listening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamson.metrics import Board
    from lamson.service.heartbeat import Heartbeat
    from lamson.settings.model import Settings

    RunWorker = Callable[[Path, Sequence[socket.socket], "Link"], None]

READY = 60.0  # seconds that a worker has to get ready, while somebody waits for it
LOADING = READY * 1.5  # and at the most
DRAIN = 30.0  # seconds that a worker has to finish what it began
ENDING = DRAIN + 5  # and to end
_LATELY = 3  # intervals between two beats: one that is slow is answering still


class Link:
    """A worker's end of the pipe to its supervisor, and of the one that tells of its death."""

    def __init__(
        self,
        status: int,
        alive: int,
        number: int,
        *,
        slot: int,
        is_patient: bool,
        heartbeat: Heartbeat,
        board: Board | None = None,
    ) -> None:
        self._status = status
        self.alive = alive  # readable (end of file) once the supervisor is gone
        self.number = number  # among the workers of its group, from 0
        self.slot = slot  # of which processor it is, see `lamson.service.cpu`
        self.is_patient = is_patient  # whether to come up though the database does not answer
        self.heartbeat = heartbeat  # for the worker to beat, from what must not stand still
        self.board = board  # in which all count, where somebody wants to know

    @property
    def descriptors(self) -> list[int]:
        """What is for this process alone, and for none that it forks."""
        return [self._status, self.alive]

    def ready(self) -> None:
        self._tell(state="ready")

    def failed(self, error: BaseException) -> None:
        self._tell(state="failed", error=str(error), code=getattr(error, "exit_code", 70))

    def recycle(self) -> None:
        """Ask to be replaced."""
        self._tell(state="recycle")

    def _tell(self, **message: object) -> None:
        with suppress(BrokenPipeError):
            os.write(self._status, json.dumps(message).encode() + b"\n")


@dataclass(frozen=True, slots=True)
class Listener:
    """An address to bind for a group, as `lamson.net.listen.bind` takes it.

    ``is_blocking`` is for a library that accepts by itself.
    """

    listen: str
    mode: int = 0o660
    group: str | None = None
    is_blocking: bool = False

    def bind(self) -> socket.socket:
        bound = bind(self.listen, mode=self.mode, group=self.group)
        bound.setblocking(self.is_blocking)
        return bound


@dataclass(slots=True, eq=False)
class Group:
    """Workers of one kind.

    ``name`` is for people; in lower case it is what systemd calls the group's sockets
    (``FileDescriptorName=``), where there is more than one group;
    ``listeners`` and ``count`` are asked of the settings: what to bind, and how many workers there
    are. ``run`` is what a worker does. Where ``keeps_to_one``, each has a slot among the
    processors, to keep to as `lamson.service.cpu` says.
    """

    name: str
    listeners: Callable[[Settings], Sequence[Listener]]
    count: Callable[[Settings], int]
    run: RunWorker
    keeps_to_one: bool = True
    sockets: list[socket.socket] = field(default_factory=list)
    not_before: float = 0.0  # when the next worker may be forked

    def check(self, settings: Settings) -> None:
        """Raise SettingsError where others reach these sockets than the settings were checked for.

        They may be systemd's, and stay what they are over a reload, whatever `listen` says.
        """
        own = getattr(settings, self.name.lower(), None)
        for sock in self.sockets:
            if isinstance(own, Listening) and sock.family != socket.AF_UNIX:
                there = own.model_copy(update={"listen": describe(sock)})
                if there.is_exposed and (problem := there.problem()):
                    raise SettingsError(f"{self}: {self.name.lower()}.{problem[0]}: {problem[1]}")

    def __str__(self) -> str:
        return f"{self.name} on {', '.join(map(describe, self.sockets))}"


class Worker:
    """A forked worker, as its supervisor sees it."""

    def __init__(
        self,
        pid: int,
        number: int,
        slot: int,
        status: int,
        group: Group,
        heartbeat: Heartbeat,
        place: int | None = None,
    ) -> None:
        self.pid = pid
        self.number = number  # among those of its group
        self.slot = slot  # of which processor it is, where its group keeps to one
        self.group = group
        self.status = status
        self.heartbeat = heartbeat
        self.place = place  # of what it counts, where that is counted
        self.is_ready = False
        self.is_leaving = False
        self.is_ending = False  # it was told to end
        self.stood_still = False  # for as long as it may: it is killed for that
        self.is_silent = False  # it closed its end of the pipe: it is ending
        self.error = ""
        self.code = os.EX_SOFTWARE
        self.wants_replacement = False
        self._buffer = b""
        self._loading = 0.0  # seconds
        self._ending = 0.0  # seconds

    def read(self) -> None:
        """Take in what it says."""
        try:
            data = os.read(self.status, 65536)  # more than a pipe holds
        except BlockingIOError:  # a process that a handler forked has the other end still
            return
        self.is_silent = not data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for message in map(json.loads, lines):
            if message["state"] == "ready":
                self.is_ready = True
            elif message["state"] == "recycle":
                self.wants_replacement = True
            else:
                self.error, self.code = message["error"], message["code"]

    @property
    def is_answering(self) -> bool:
        """Whether it beats, or has time left to get ready, or to end."""
        if self.is_ending and self._ending >= ENDING:
            return False
        if not self.is_ready:
            return self._loading < LOADING
        return self.heartbeat.silence <= _LATELY * self.heartbeat.interval

    def look(self, elapsed: float, project: Path) -> str:
        """Why it is to be killed, "" where it is not; ``elapsed`` seconds after the last look."""
        if self.is_ending:
            self._ending += elapsed
            if self._ending >= ENDING:
                return f"did not end within {self._ending:.0f} s"
        if not self.is_ready:
            self._loading += elapsed
            return f"was not ready after {self._loading:.0f} s" if self._loading >= LOADING else ""
        if self.heartbeat.look(elapsed):
            self.stood_still = True
            where = self.heartbeat.doing(project)
            return f"stood still for {self.heartbeat.silence:.0f} s" + (where and f", in {where}")
        self.heartbeat.ask(self.pid)
        return ""


def forget_modules(project: Path) -> None:
    """Have a worker import the project's modules afresh: its settings may have imported some.

    What is installed stays, as in a virtual environment that lies in the project.
    """
    roots = (Path(sys.prefix), Path(__file__).parents[2])
    installed = [root for root in roots if project in root.parents]
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "")
        is_ours = project in file.parents and not any(root in file.parents for root in installed)
        if is_ours and name != "__main__":
            del sys.modules[name]
