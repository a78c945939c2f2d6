"""The real service as a peer: `lamson start` with the projects of projects.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tests.bench import projects
from tests.bench.linecount import LineCount
from tests.bench.peer import Peer
from tests.bench.peers import Submission
from tests.service import LamsonService
from tests.waiting import free_port

if TYPE_CHECKING:
    from pathlib import Path


class Lamson(Peer):
    """The real service with a stateless handler that does nothing, and no database."""

    name = "lamson"
    handlers: ClassVar[str] = projects.NOTHING
    database: str | None = None

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._project = projects.write(directory / "project", self.handlers, self.database)
        self._service = LamsonService(self._project, **self.environment())
        self.port = self._service.port
        self._handled = LineCount(self._project / "logs" / "lamson.log", b" handled id=")

    def start(self) -> None:
        if self.database is not None:
            self._service.command("syncdb")
        self._service.start()

    def environment(self) -> dict[str, str]:
        return {}

    def stop(self) -> None:
        self._service.stop()

    def pid(self) -> int:
        return self._service.pid

    def count(self) -> int:
        return self._handled()


class TwoLamsons(Lamson):
    """The same with a second worker, for the second processor."""

    name = "lamson, 2 workers"
    loads = frozenset({"smtp-source", "10 sessions", "50 sessions"})

    def environment(self) -> dict[str, str]:
        return {"LAMSON_WORKERS": "2"}


class CountedLamson(Lamson):
    """The same with a status listener, for which it counts."""

    name = "lamson, counting"

    def environment(self) -> dict[str, str]:
        return {"LAMSON_STATUS__LISTEN": f"127.0.0.1:{free_port()}"}


class LamsonBehindPostfix(Lamson):
    """The real service: what was seen, a state and one reply in one transaction, on SQLite FULL.

    Replies are submitted to ``submission_port``.
    """

    name = "lamson durable"
    handlers = projects.DURABLE
    database = "sqlite:///run/lamson.db"

    def __init__(self, directory: Path, submission_port: int) -> None:
        self.submission_port = submission_port
        super().__init__(directory)

    def environment(self) -> dict[str, str]:
        return {"LAMSON_SUBMISSION__SERVER": f"127.0.0.1:{self.submission_port}"}


class LamsonDurable(LamsonBehindPostfix):
    """The same with a submission server of its own, which counts and throws away."""

    answers = True

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._submission = Submission(directory / "submission")
        super().__init__(directory, self._submission.port)

    def start(self) -> None:
        self._submission.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self._submission.stop()

    def replies(self) -> int:
        return self._submission.count()


class LamsonHeaders(LamsonDurable):
    """The same with a journal of headers."""

    name = "lamson durable, journal of headers"
    keep = "headers"

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "LAMSON_JOURNAL__KEEP": self.keep}


class LamsonWhole(LamsonHeaders):
    """The same with a journal of whole messages."""

    name = "lamson durable, journal of messages"
    keep = "whole"


class CountedLamsonDurable(LamsonDurable):
    """The same with a status listener, for which it counts."""

    name = "lamson durable, counting"

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "LAMSON_STATUS__LISTEN": f"127.0.0.1:{free_port()}"}


class LamsonPostgres(LamsonDurable):
    """The same on PostgreSQL (``url``), with one or more workers."""

    def __init__(self, directory: Path, url: str, workers: int) -> None:
        self.name = "lamson, 1 worker" if workers == 1 else f"lamson, {workers} workers"
        self.database = url
        self._workers = workers
        super().__init__(directory)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "LAMSON_WORKERS": str(self._workers)}
