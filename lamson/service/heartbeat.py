"""The heartbeat of a worker: whether its event loop, or its interpreter, has come to a stand.

For the workers, which beat, and for their supervisor, which ends one that does not. What holds the
interpreter (C code, a regular expression that backtracks) holds every thread of Python with it, so
nothing in Python within the worker could do that. The beat is a number in shared memory, and
costs no system call. The supervisor counts the seconds between its own looks: where it stood still
itself, as when the machine was suspended, that counts for next to nothing.

A worker whose supervisor is dead has nobody who looks. So each beat also puts off a switch that
ends the process without the interpreter: a thread of `faulthandler`, which is written in C.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import re
import signal
import struct
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_BEATS = 10  # within the time that a worker may stand still
_LONGEST = 10.0  # seconds between two beats
_LEAST = 1.0  # seconds: a busy machine may keep a worker waiting for less
_ALONE = 2  # times the deadline, after which a worker ends itself
_COUNT = struct.Struct("Q")
_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')
_MOST_PLACES = 3  # that are told of
_PACKAGES = Path(__file__).parents[2]  # where ours are


class Heartbeat:
    """Of one worker: made by the supervisor before it forks, beaten by the worker.

    ``deadline`` is how many seconds the worker may stand still.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = max(deadline, _LEAST)
        self.interval = min(self.deadline / _BEATS, _LONGEST)
        self.silence = 0.0  # seconds without a beat, as the supervisor counted them
        self._trace = os.memfd_create("lamson-trace")
        self._shared = mmap.mmap(-1, _COUNT.size)
        self._seen = 0
        self._is_asked = False
        self._count = 0
        self._put_off = 0.0

    def close(self) -> None:
        os.close(self._trace)
        self._shared.close()

    # In the worker.

    def start(self, patience: float) -> None:
        """``patience``: seconds that the worker has until the first beat."""
        faulthandler.register(signal.SIGQUIT, file=self._trace, all_threads=True)
        self._end_after(patience)

    def beat(self) -> None:
        self._count += 1
        _COUNT.pack_into(self._shared, 0, self._count)
        now = monotonic()
        if now - self._put_off > self.interval / 2:
            self._put_off = now
            self._end_after(_ALONE * self.deadline)

    def beat_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Beat for as long as the loop turns."""
        self.beat()
        loop.call_later(self.interval, self.beat_on, loop)

    def _end_after(self, seconds: float) -> None:
        with suppress(RuntimeError):  # the system has no thread for us now; at the next beat it may
            faulthandler.dump_traceback_later(seconds, exit=True, file=2)

    # In the supervisor.

    def look(self, elapsed: float) -> bool:
        """True where the worker has stood still for as long as it may.

        ``elapsed`` seconds have passed since the last look. Shortly before the end it is asked what
        it does, for `doing`.
        """
        (count,) = _COUNT.unpack_from(self._shared)
        if count != self._seen:
            self._seen, self.silence, self._is_asked = count, 0.0, False
            return False
        self.silence += elapsed
        return self.silence >= self.deadline

    def ask(self, pid: int) -> None:
        """Have the worker ``pid`` write down what it does, where the next look may be its last."""
        if self._is_asked or self.silence + 2 * self.interval < self.deadline:
            return
        self._is_asked = True
        os.ftruncate(self._trace, 0)
        os.lseek(self._trace, 0, os.SEEK_SET)  # of the worker as well: it has the same open file
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)

    def doing(self, project: Path) -> str:
        """Where the worker was when it was asked, "" where it gave no answer, as when stopped.

        That is the project's code, in whatever thread; else ours, in the main thread.
        """
        text = os.pread(self._trace, 1 << 20, 0).decode("ascii", "replace")
        threads = [_FRAME.findall(thread) for thread in text.split("hread 0x")[1:]]
        found = [place for frames in threads if (place := _innermost(frames, project))]
        if not found and threads and (place := _innermost(threads[-1], _PACKAGES)):
            found = [place]
        return ", ".join(found[:_MOST_PLACES])


def _innermost(frames: list[tuple[str, str, str]], directory: Path) -> str:
    """The first of the frames whose file lies in the directory, or in a project's one."""
    for file, line, function in frames:
        path = Path(file)
        if directory in path.parents and not {"lib", "site-packages"} & set(path.parts):
            return f"{path.relative_to(directory)}:{line} {function}"
    return ""
