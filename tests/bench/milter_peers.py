"""The milters that are measured: ours, one in C on libmilter, one on bare pymilter, and none.

Each does the same: it looks at the recipient and at one header field, and adds one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from tests.bench import process
from tests.milter.client import MilterClient
from tests.milter.projects import FilteringService
from tests.server_process import ServerProcess
from tests.waiting import free_port

_SERVERS = Path(__file__).parent / "servers"
_FILTERS = """
@filter_message("(user)@(host)", body=False)
def tag(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Filtered", "yes" if message["Subject"] is not None else "no")
"""


class MilterPeer:
    """One milter, on a unix socket or a TCP port. ``name`` is for the report."""

    name: ClassVar[str]

    def __init__(self, directory: Path, *, tcp: bool = False) -> None:
        self.port = free_port() if tcp else 0
        self.path = str(directory / "socket")
        self.directory = directory
        directory.mkdir(mode=0o755)
        self._child = ServerProcess(self.name, directory / "output")

    @property
    def address(self) -> str | tuple[str, int]:
        return ("127.0.0.1", self.port) if self.port else self.path

    @property
    def endpoint(self) -> str:
        """As main.cf names it."""
        return f"inet:127.0.0.1:{self.port}" if self.port else f"unix:{self.path}"

    def command(self) -> list[str]:
        raise NotImplementedError

    def conn(self) -> str:
        """As libmilter names it."""
        return f"inet:{self.port}@127.0.0.1" if self.port else f"unix:{self.path}"

    def start(self) -> None:
        self._child.start(self.command(), self.answers, umask=0)

    def answers(self) -> bool:
        try:
            MilterClient(self.address).quit()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        self._child.kill()

    def pid(self) -> int:
        return self._child.pid

    def cpu(self) -> float:
        """CPU seconds used so far."""
        return process.cpu_seconds(self.pid())


class CMilter(MilterPeer):
    name = "C milter"

    def command(self) -> list[str]:
        program = self.directory / "milter"
        source = str(_SERVERS / "milter.c")
        subprocess.run(
            ["cc", "-O2", "-o", str(program), source, "-lmilter", "-lpthread"], check=True
        )
        return [str(program), self.conn()]


class BarePymilter(MilterPeer):
    name = "bare pymilter"

    def command(self) -> list[str]:
        return [sys.executable, str(_SERVERS / "bare_pymilter.py"), self.conn()]


class QuietPymilter(BarePymilter):
    """Written by somebody who knows which answers Postfix can do without."""

    name = "bare pymilter, noreply"

    def command(self) -> list[str]:
        return [*super().command(), "noreply"]


class LamsonMilter(MilterPeer):
    name = "lamson"
    workers = 1

    def start(self) -> None:
        listen = f"127.0.0.1:{self.port}" if self.port else f"unix:{self.path}"
        milter = f'"{listen}", socket_mode="0666", workers={self.workers}'
        self._service = FilteringService(self.directory / "project", _FILTERS, milter)
        self._service.start()

    def stop(self) -> None:
        self._service.stop()

    def pid(self) -> int:
        return self._service.pid


class LamsonTwo(LamsonMilter):
    name = "lamson, 2 workers"
    workers = 2


class NoMilter(MilterPeer):
    name = "no milter"
    endpoint = ""

    def start(self) -> None:
        pass

    stop = start

    def cpu(self) -> float:
        return 0.0
