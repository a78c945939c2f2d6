"""The service as a child of `lamson dev`: started, reloaded, started again, and listened to.

What it logs goes on to the terminal as it is; what is an error is told with its traceback, once it
is complete. The child is in a session of its own, so that a Ctrl-C reaches us alone, and ends with
us, however we end.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PR_SET_PDEATHSIG = 1
_ENDING = 50.0  # seconds that mail being handled may take
_QUIET = 0.1  # seconds without a line, after which what was said is complete
_MOST = 400  # lines of one error
_LONGEST = 1 << 20  # octets of a line
_ERROR = re.compile(r"\S+ (?:ERROR|CRITICAL) |lamson: ")
_LIBC = ctypes.CDLL(None)


class Child:
    """The service of a project. ``told`` gets each line, ``failed`` each error as a whole."""

    def __init__(
        self, project: Path, told: Callable[[str], None], failed: Callable[[str], None]
    ) -> None:
        self._project = project
        self._told = told
        self._failed = failed
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._error: list[str] = []
        self.environment: dict[str, str] = {}  # beside ours
        self.ready = asyncio.Event()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it; `ready` is set when it is."""
        self.ready.clear()
        parent = os.getpid()

        def end_with_us() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(os.EX_UNAVAILABLE)

        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lamson", "start", "-foreground"),
            cwd=self._project,
            env={**os.environ, **self.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST,
            start_new_session=True,
            preexec_fn=end_with_us,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            asyncio.create_task(self._listen(self._process.stdout)),
            asyncio.create_task(self._read(self._process.stderr)),
        ]

    async def wait(self) -> int:
        """Wait until it has ended, and all that it said was told; gives its exit status."""
        assert self._process is not None
        status = await self._process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)
        return status

    def reload(self) -> None:
        """Have it take in the code as it is now, without a pause."""
        self._signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End it once mail being handled is done, or has taken too long for that."""
        if self.is_running:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_ENDING):
                    await self.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.is_running:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _listen(self, out: asyncio.StreamReader) -> None:
        while line := await _line(out):
            if line.startswith(b"lamson is listening"):
                self.ready.set()

    async def _read(self, errors: asyncio.StreamReader) -> None:
        while True:
            try:
                async with asyncio.timeout(_QUIET if self._error else None):
                    octets = await _line(errors)
            except TimeoutError:
                self._tell_error()
                continue
            if not octets:
                break
            line = octets.decode("utf-8", "replace").rstrip("\n")
            if not line.startswith(" "):
                self._tell_error()
            self._told(line)
            if self._error or _ERROR.match(line):
                self._error.append(line)
                del self._error[_MOST:]
        self._tell_error()

    def _tell_error(self) -> None:
        lines, self._error = self._error, []
        if lines:
            self._failed("\n".join(lines))


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; b"" at the end. One that is too long is left out, else nobody read on."""
    while True:
        with suppress(ValueError):
            return await stream.readline()
