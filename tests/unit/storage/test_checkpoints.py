"""lamson.storage.checkpoints: the log is written back by a thread of its own."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from lamson.storage import sqlite
from lamson.storage.checkpoints import COMMITS, Checkpoints
from lamson.storage.database import Database
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """One whose commits write nothing back."""
    monkeypatch.setattr(sqlite, "LONGEST_LOG", 0)
    with closing(Database(f"sqlite:///{tmp_path}/test.db")) as made:
        with made.begin() as connection:
            connection.execute(text("CREATE TABLE page (content BLOB)"))
        yield made


@pytest.fixture
def checkpoints(database: Database) -> Iterator[Checkpoints]:
    made = Checkpoints(database)
    made.start()
    yield made
    made.stop()


def commit(database: Database, times: int, octets: int = 1_000) -> None:
    for _ in range(times):
        with database.begin() as connection:
            connection.execute(
                text("INSERT INTO page VALUES (zeroblob(:octets))"), {"octets": octets}
            )


def test_what_was_committed_gets_into_the_file(
    database: Database, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    before = (tmp_path / "test.db").stat().st_size
    commit(database, COMMITS)
    wait_for(
        lambda: (tmp_path / "test.db").stat().st_size > before + COMMITS * 1_000,
        "a file with all that was written",
    )


def test_a_log_that_is_always_written_to_begins_anew(
    database: Database, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    def salt() -> bytes:
        """Of the log's header: another one each time that it begins (walformat.html)."""
        with open(tmp_path / "test.db-wal", "rb") as file:
            return file.read(24)[16:]

    first = salt()

    def is_another() -> bool:
        commit(database, 10, 20_000)
        return salt() != first

    wait_for(is_another, "a log that begins anew")


def test_it_ends(database: Database) -> None:
    made = Checkpoints(database)
    made.start()
    made.stop()
    assert not [one for one in threading.enumerate() if one.name == "checkpoints"]
    commit(database, COMMITS)


def test_a_file_that_is_not_there_is_told_and_not_made(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "test.db").rename(tmp_path / "away.db")
    Checkpoints(database).look()
    assert "stays as long as it is: unable to open" in caplog.text
    assert not (tmp_path / "test.db").exists()


def test_who_has_the_file_for_himself_is_no_trouble(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commit(database, 1)
    database.close()
    with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("INSERT INTO page VALUES ('')")
        with (
            closing(sqlite3.connect(tmp_path / "test.db", timeout=0)) as kept_out,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            kept_out.execute("SELECT count(*) FROM page")
        Checkpoints(database).look()
    assert not caplog.text


def test_a_database_in_memory_has_no_log() -> None:
    with closing(Database("sqlite://")) as database:
        made = Checkpoints(database)
        made.start()
        assert database.after_commit is None
        made.stop()
