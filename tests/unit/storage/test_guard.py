"""lamson.storage.guard: what would end a transaction, and what only looks like it."""

import gc
import sqlite3
import weakref
from pathlib import Path

import pytest
from sqlalchemy import text

from lamson.storage import guard
from lamson.storage.database import Database
from lamson.storage.failure import SharedTransactionError


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        " commit work ;",
        "End",
        "abort",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
        "ROLLBACK",
        "ROLLBACK WORK AND CHAIN",
        "-- a comment\nCOMMIT",
        "/* another\n */COMMIT",
        "SELECT 1; COMMIT",
        "SELECT ';', $$ ; $$, \"a;\" ;; -- ;\n rollback",
    ],
)
def test_what_ends_a_transaction(sql: str) -> None:
    assert guard.ends_transaction(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1",
        "SAVEPOINT x",
        "RELEASE SAVEPOINT x",
        "ROLLBACK TO SAVEPOINT x",
        "ROLLBACK WORK TO x",
        "SELECT CASE WHEN a THEN 1 END FROM commit",
        "INSERT INTO note VALUES ('; COMMIT')",
        "INSERT INTO note VALUES ('it''s; COMMIT')",
        'UPDATE "; COMMIT" SET x = 1',
        "DO $do$ BEGIN PERFORM 1; END; $do$",
        "PREPARE transactions AS SELECT 1",
        "SELECT 1 -- ; COMMIT",
        "SELECT 1 /* ; COMMIT */",
        "END_OF_DAY",
    ],
)
def test_what_does_not(sql: str) -> None:
    assert not guard.ends_transaction(sql)


def test_a_statement_that_sqlite_has_prepared_before_is_refused_as_well(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    with (  # on a connection that the pool gives again
        database.read() as connection,
        pytest.raises(sqlite3.OperationalError, match="no transaction is active"),
    ):
        guard.driver(connection).execute("COMMIT")
    with database.begin_shared() as connection:
        connection.execute(text("CREATE TABLE x (y INTEGER)"))
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            guard.driver(connection).execute("COMMIT")
        assert guard.is_open(connection)
    database.close()


def test_what_was_refused_leaves_the_transaction_as_it_is(database: Database) -> None:
    with database.begin_shared() as connection:
        connection.execute(text("CREATE TABLE x (y INTEGER)"))
        for sql in ("COMMIT", "ROLLBACK", "BEGIN"):
            with pytest.raises(SharedTransactionError):
                connection.execute(text(sql))
        for end in (guard.driver(connection).commit, guard.driver(connection).close):
            with pytest.raises(SharedTransactionError):
                end()
        with connection.begin_nested():
            connection.execute(text("INSERT INTO x VALUES (1)"))
    with database.begin() as connection:
        assert connection.execute(text("SELECT y FROM x")).scalar() == 1
        connection.rollback()  # which is its own affair


def test_a_connection_to_sqlite_is_freed() -> None:
    connection = sqlite3.connect(":memory:", factory=guard.SqliteConnection)
    connection.guard()
    freed = weakref.ref(connection)
    connection.close()
    del connection
    gc.collect()
    assert freed() is None
