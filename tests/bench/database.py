"""Lamson on PostgreSQL, with one worker and with two, beside the same transaction by hand.

A private server with `fsync` and `synchronous_commit` as by default; each peer has a database.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench import source
from tests.bench.comparison import compare
from tests.bench.lamsons import LamsonPostgres
from tests.bench.load import LOADS
from tests.bench.peers import Python, SmtpSink
from tests.postgres.instance import PostgresInstance, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bench.comparison import Effort
    from tests.bench.peer import Peer
    from tests.bench.report import Section

_LOADS = [LOADS["10 sessions"], LOADS["50 sessions"]]


class ByHand(Python):
    """A thread for each session, psycopg, and Lamson's statements in one pipeline."""

    name = "by hand"
    module = "by_hand"

    def __init__(self, directory: Path, url: str) -> None:
        super().__init__(directory)
        self._url = url
        self.arguments = (url.replace("postgresql+psycopg", "postgresql"),)

    def start(self) -> None:
        from sqlalchemy import create_engine

        from lamson.storage.tables import metadata

        engine = create_engine(self._url)
        metadata.create_all(engine)
        engine.dispose()
        super().start()


def unavailable() -> str | None:
    """Why this cannot be measured here; None where it can."""
    return why_not() or source.unavailable() or SmtpSink.unavailable()


def measure(effort: Effort) -> Iterator[Section]:
    """The three of them under two loads."""
    with PostgresInstance() as postgres:
        kinds: list[Callable[[Path], Peer]] = [
            partial(ByHand, url=postgres.url(postgres.create_database())),
            partial(LamsonPostgres, url=postgres.url(postgres.create_database()), workers=1),
            partial(LamsonPostgres, url=postgres.url(postgres.create_database()), workers=2),
        ]
        yield from compare("PostgreSQL, fsync and synchronous_commit on", kinds, _LOADS, effort)
