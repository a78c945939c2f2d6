"""The real service, `lamson start --foreground`, as a child process of a test or a benchmark."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.mortal import Guard
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class LamsonService:
    """The service of the project in the directory ``project``.

    It listens on ``port`` (chosen here, and kept over restarts). ``environment`` are more
    variables, such as ``LAMSON_SUBMISSION__SERVER``, which win over config/settings.py.
    """

    def __init__(self, project: Path, **environment: str) -> None:
        self.project = project
        self.port = free_port()
        self.environment = {"LAMSON_LMTP__LISTEN": f"127.0.0.1:{self.port}", **environment}
        self._output = project / "foreground.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._process is not None, "not started"
        return self._process.pid

    def command(self, *arguments: str) -> str:
        """Run another `lamson` command in the project; gives its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "lamson", *arguments],
            cwd=self.project,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"lamson {' '.join(arguments)}: {done.returncode}: {done.stderr}")
        return done.stdout

    def start(self) -> LamsonService:
        """Start it, and return when it says that it listens."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lamson", "start", "--foreground"],
                cwd=self.project,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._guard = Guard(self._process.pid)
        wait_for(
            lambda: self._process_ended() or "lamson is listening" in self.output(),
            lambda: f"lamson listens: {self.output()}",
            timeout=60,
        )
        if self._process_ended():
            raise AssertionError(f"lamson did not start: {self.output()}")
        return self

    def stop(self, *, timeout: float = 45.0) -> None:
        """Ask it to end (SIGTERM) and wait until it did. Nothing where it does not run."""
        if self._process is None:
            return
        process, self._process = self._process, None
        self._release_guard()
        process.terminate()
        process.wait(timeout)
        if process.returncode not in (0, -15):
            raise AssertionError(f"lamson ended with {process.returncode}: {self.output()}")

    def kill(self) -> None:
        """kill -9 of the supervisor."""
        assert self._process is not None, "not started"
        self._release_guard()
        self._process.kill()
        self._process.wait()
        self._process = None

    def __enter__(self) -> LamsonService:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def output(self) -> str:
        """What it wrote to the terminal."""
        return self._output.read_text(errors="replace")

    def log_lines(self, *parts: str) -> list[str]:
        """The lines of logs/lamson.log that contain every one of ``parts``."""
        log = self.project / "logs" / "lamson.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        return [line for line in text.splitlines() if all(part in line for part in parts)]

    def wait_log(self, *parts: str, count: int = 1, timeout: float = 30.0) -> list[str]:
        """Wait for ``count`` log lines that contain every one of ``parts``; returns them all."""
        return wait_for(
            lambda: found if len(found := self.log_lines(*parts)) >= count else [],
            lambda: f"{count} lines with {parts} in the log:\n" + "\n".join(self.log_lines()),
            timeout=timeout,
        )

    def _release_guard(self) -> None:
        if self._guard is not None:
            self._guard.release()
            self._guard = None

    def _process_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None
