"""The real service, `lamson start --foreground`, as a child process of a test or a benchmark."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.server_process import ServerProcess
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class LamsonService:
    """The service of the project in the directory ``project``.

    It listens on ``port`` (chosen here, and kept over restarts). ``environment`` are more
    variables, such as ``LAMSON_SUBMISSION__SERVER``, which win over config/settings.py.
    """

    def __init__(self, project: Path, **environment: str) -> None:
        self.project = project
        self.port = free_port()
        self.environment = {"LAMSON_LMTP__LISTEN": f"127.0.0.1:{self.port}", **environment}
        self._process = ServerProcess("lamson", project / "foreground.log")

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
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

    def start(self) -> Self:
        """Start it, and return when it says that it listens."""
        self._process.start(
            [sys.executable, "-m", "lamson", "start", "--foreground"],
            lambda: "lamson is listening" in self.output(),
            cwd=self.project,
            env={**os.environ, **self.environment},
        )
        return self

    def stop(self, *, timeout: float = 60.0) -> None:
        """Ask it to end (SIGTERM) and wait until it did. Nothing where it does not run."""
        status = self._process.stop(timeout=timeout)
        if status not in (None, 0, -signal.SIGTERM):
            raise AssertionError(f"lamson ended with {status}: {self.output()}")

    def kill(self) -> None:
        """kill -9 of the supervisor."""
        self._process.kill()

    def __enter__(self) -> Self:
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
        return self._process.output()

    def log_lines(self, *parts: str) -> list[str]:
        """The lines of logs/lamson.log that contain every one of ``parts``."""
        log = self.project / "logs" / "lamson.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        return [line for line in text.splitlines() if all(part in line for part in parts)]

    def wait_log(self, *parts: str, count: int = 1, timeout: float = 60.0) -> list[str]:
        """Wait for ``count`` log lines that contain every one of ``parts``; returns them all."""
        return wait_for(
            lambda: found if len(found := self.log_lines(*parts)) >= count else [],
            lambda: f"{count} lines with {parts} in the log:\n" + "\n".join(self.log_lines()),
            timeout=timeout,
        )
