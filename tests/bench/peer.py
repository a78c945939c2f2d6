"""What is measured: a server that is started on a port, counts what it accepted, and is ended."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tests.bench import process
from tests.server_process import ServerProcess
from tests.waiting import free_port, listening

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for peers, which those that are not root can enter too; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="lamson-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Peer:
    """One server. ``counts`` says what `count` counts: messages, or deliveries (recipients)."""

    name: str
    counts: ClassVar[str] = "deliveries"
    answers: ClassVar[bool] = False  # a reply is submitted for each delivery
    loads: ClassVar[frozenset[str] | None] = None  # names of those it is measured under; None: all

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        directory.mkdir(exist_ok=True)

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this peer cannot run here; None where it can."""
        return None

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def count(self) -> int:
        """How many messages or deliveries it has accepted since its start."""
        raise NotImplementedError

    def replies(self) -> int:
        """How many replies have arrived at its submission server, where it sends some."""
        return 0

    def pid(self) -> int:
        raise NotImplementedError

    def cpu(self) -> float:
        """CPU seconds used since its start, by all its processes."""
        return process.cpu_seconds(self.pid())


class Child(Peer):
    """A peer that is one child process; its standard output goes to a file."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._process = ServerProcess(self.name, directory / "output", directory / "errors")

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        self._process.start(
            self.command(),
            lambda: listening(self.port),
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def stop(self) -> None:
        self._process.kill()

    def pid(self) -> int:
        return self._process.pid
