"""Servers that tests start: a program as a child process, until it is told to end.

For whatever needs a real one: Lamson itself, Postfix, PostgreSQL, those that are measured. A server
that does not get ready is an AssertionError with what it wrote, and has ended by then.
"""

from __future__ import annotations

import signal
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tests.mortal import Guard
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class ServerProcess:
    """One program, which may be started again after it has ended.

    It is signalled by its process id alone: what it forked is its own to end, and tests look at
    what becomes of that. It does not outlive the tests. ``name`` is for messages, in which ``log``
    tells what it wrote elsewhere. What it writes is added to ``output``; where there are
    ``errors``, its standard error goes there.
    """

    def __init__(
        self,
        name: str,
        output: Path,
        errors: Path | None = None,
        *,
        log: Callable[[], str] = lambda: "",
    ) -> None:
        self.name = name
        self._files = [output] if errors is None else [output, errors]
        self._begins = [0 for _ in self._files]  # where the output of this run begins
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    @property
    def pid(self) -> int:
        """Its process id; it has to be running."""
        assert self._process is not None, f"{self.name} is not started"
        return self._process.pid

    def start(
        self,
        command: Sequence[str | Path],
        is_ready: Callable[[], object],
        *,
        timeout: float = 60.0,
        **options: Any,
    ) -> None:
        """Start it and return once ``is_ready()``.

        ``options`` are those of `subprocess.Popen`, such as ``cwd``. Raises AssertionError where it
        ends before it is ready, or is not ready within ``timeout`` seconds.
        """
        assert self._process is None, f"{self.name} is started already"
        with ExitStack() as files:
            streams = [files.enter_context(file.open("ab")) for file in self._files]
            self._begins = [stream.tell() for stream in streams]
            stdout, stderr = streams[0], streams[1] if streams[1:] else subprocess.STDOUT
            self._process = process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, **options
            )
        self._guard = Guard(process.pid)
        try:
            wait_for(
                lambda: process.poll() is not None or is_ready(),
                lambda: f"{self.name} to be ready: {self._told()}",
                timeout=timeout,
            )
            if process.poll() is not None:
                status = process.returncode
                raise AssertionError(f"{self.name} did not start ({status}): {self._told()}")
        except BaseException:
            self.kill()
            raise

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal. Nothing where it has ended by itself."""
        assert self._process is not None, f"{self.name} is not started"
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = 60.0) -> int | None:
        """Ask it to end by a signal, and `wait`. None, at once, where it was not started."""
        if self._process is None:
            return None
        self._process.send_signal(number)
        return self.wait(timeout)

    def wait(self, timeout: float = 60.0) -> int:
        """Wait until it has ended, whoever made it; gives its exit status.

        Where it goes on for ``timeout`` seconds it is killed, and that is an AssertionError.
        """
        assert self._process is not None, f"{self.name} is not started"
        process, self._process = self._process, None
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} has not ended within {timeout:g} s: {self._told()}"
            ) from None
        finally:
            process.kill()
            process.wait()
            if self._guard is not None:
                self._guard.release()
                self._guard = None

    def kill(self) -> None:
        """Kill it, and wait until it is gone. Nothing where it was not started."""
        self.stop(signal.SIGKILL)

    def output(self) -> str:
        """What it has written since its last start."""
        texts = []
        for file, begin in zip(self._files, self._begins, strict=True):
            if file.exists():
                texts.append(file.read_bytes()[begin:].decode(errors="replace"))
        return "".join(texts)

    def _told(self) -> str:
        return "\n".join(filter(None, (self.output(), self._log())))
