"""Somebody at a prompt: one bash that gets line after line, so that `cd` leads where it leads."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import TracebackType


class Outcome(NamedTuple):
    """What a line came to: its exit status, and standard output and error as they were shown."""

    status: int
    output: str


class Shell:
    """A prompt in ``directory``, with the commands of the tests' environment first in PATH."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LAMSON_", "PYTEST_"))
        }
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
        }
        # Not a pipe: a server in the background would hold it open.
        descriptor, name = tempfile.mkstemp()
        os.close(descriptor)
        self._output = Path(name)
        self._bash = subprocess.Popen(
            ["bash"],
            cwd=directory,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def enter(self, line: str) -> Outcome:
        """Run one line, exactly as it stands, to its end."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{{ {line}\n}} </dev/null >{self._output} 2>&1; echo $?\n")
        self._bash.stdin.flush()
        status = self._bash.stdout.readline()
        return Outcome(int(status), self._output.read_text(encoding="utf-8"))

    def close(self) -> None:
        self._bash.communicate()
        self._output.unlink()

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
