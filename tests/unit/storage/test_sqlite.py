"""lamson.storage.sqlite: our own statements fail as SQLAlchemy's do."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import exc, text
from sqlalchemy.engine import Connection

from lamson.storage import sqlite
from lamson.storage.database import Database

Execute = Callable[[Connection, str], Any]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/test.db?timeout=0.1")
    with database.begin() as connection:
        sqlite.execute(connection, "CREATE TABLE x (y BLOB UNIQUE)")
    yield database
    database.close()


@pytest.fixture(params=["ours", "SQLAlchemy's"])
def execute(request: pytest.FixtureRequest) -> Execute:
    """The two ways of executing a statement, which have to end alike."""
    if request.param == "ours":
        return sqlite.execute
    return lambda connection, statement: connection.execute(text(statement))


def write(database: Database, execute: Execute, *statements: str) -> None:
    """Statements in one transaction, by somebody who goes on after an error of SQLite's."""
    with database.begin() as connection:
        for statement in statements:
            with suppress(exc.OperationalError):
                execute(connection, statement)


FULL = "PRAGMA max_page_count = 20", "INSERT INTO x VALUES (zeroblob(1000000))"


def content(database: Database) -> Sequence[object]:
    with database.read() as connection:
        return connection.execute(text("SELECT y FROM x")).scalars().all()


def test_a_statement_gives_its_rows(database: Database) -> None:
    with database.begin() as connection:
        assert sqlite.execute(connection, "INSERT INTO x VALUES (?), (?)", (1, 2)) == []
        assert sqlite.execute(connection, "SELECT y FROM x WHERE y > ?", (1,)) == [(2,)]
    assert content(database) == [1, 2]


def test_an_error_is_sqlalchemys_and_shows_no_values(database: Database) -> None:
    with database.begin() as connection:
        sqlite.execute(connection, "INSERT INTO x VALUES (?)", ("private",))
        with pytest.raises(exc.IntegrityError, match="UNIQUE constraint failed") as caught:
            sqlite.execute(connection, "INSERT INTO x VALUES (?)", ("private",))
        assert isinstance(caught.value.orig, sqlite3.IntegrityError)
        assert not caught.value.connection_invalidated
        sqlite.execute(connection, "INSERT INTO x VALUES (2)")
    assert "private" not in str(caught.value)
    assert content(database) == ["private", 2]  # the statement failed, not the transaction


def test_an_error_leaves_the_savepoints_of_others_alone(database: Database) -> None:
    with database.begin() as connection:
        with connection.begin_nested():
            connection.execute(text("INSERT INTO x VALUES (1)"))
        with suppress(exc.OperationalError):
            sqlite.execute(connection, "INSERT INTO nowhere VALUES (1)")
        with suppress(ZeroDivisionError), connection.begin_nested():
            connection.execute(text("INSERT INTO x VALUES (2)"))
            raise ZeroDivisionError
    assert content(database) == [1]


def test_a_database_that_is_locked(database: Database, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(exc.OperationalError, match="locked"), database.begin():
            pass
        other.execute("COMMIT")
    with database.begin() as connection:
        sqlite.execute(connection, "INSERT INTO x VALUES (1)")
    assert content(database) == [1]


def test_a_transaction_that_sqlite_gave_up_is_used_no_further(
    database: Database, execute: Execute
) -> None:
    before, after = "INSERT INTO x VALUES ('before')", "INSERT INTO x VALUES ('after')"
    with pytest.raises(exc.PendingRollbackError):  # else 'after' would be there at once
        write(database, execute, before, *FULL, after)
    assert content(database) == []
    write(database, execute, FULL[1])  # on a connection without that limit
    assert len(content(database)) == 1


def test_a_transaction_that_somebody_ended_is_not_taken_for_committed(
    database: Database, execute: Execute
) -> None:
    with pytest.raises(exc.InvalidRequestError, match="ended before"):
        write(database, execute, "INSERT INTO x VALUES (1)", "ROLLBACK")
    assert content(database) == []


def test_a_database_in_memory_outlives_what_sqlite_gives_up(execute: Execute) -> None:
    database = Database("sqlite://")
    write(database, execute, "CREATE TABLE x (y BLOB)", "INSERT INTO x VALUES (1)")
    with pytest.raises(exc.InvalidRequestError, match="ended before"):
        write(database, execute, *FULL)
    assert content(database) == [1]
    database.close()


def test_many_rows_take_few_statements(database: Database) -> None:
    sqlite._insert_statement.cache_clear()
    with database.begin() as connection:
        for most in range(200):
            rows = [(number,) for number in range(most)]
            found = sqlite.insert(connection, "x (y)", rows, "ON CONFLICT DO NOTHING RETURNING y")
            assert [row[0] for row in found] == list(range(max(0, most - 1), most))
    assert sqlite._insert_statement.cache_info().misses == 7  # 64, 32, 16, 8, 4, 2, 1


def test_a_new_file_has_small_pages_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        old.executescript("PRAGMA page_size=4096; CREATE TABLE one (a)")
    for name, octets in (("new", 2048), ("old", 4096)):
        database = Database(f"sqlite:///{tmp_path}/{name}.db")
        database.create_all()
        with database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA page_size").scalar() == octets
        database.close()


def test_a_database_that_is_closed_to_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = str(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed)
    assert sqlite.obstacle(f"{tmp_path}/x.db") == f"; this user may not write to {closed}"
