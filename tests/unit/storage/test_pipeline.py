"""lamson.storage.pipeline: what waits is sent in order, and fails as SQLAlchemy's statements do."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import exc, text

from lamson import metrics
from lamson.storage import pipeline
from lamson.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

pytestmark = pytest.mark.postgres
ADD = "INSERT INTO word VALUES (%(word)s) RETURNING word"


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE word (word varchar(9) PRIMARY KEY)"))
    yield database
    database.close()


def words(database: Database) -> list[str]:
    with database.begin() as connection:
        return list(connection.execute(text("SELECT word FROM word ORDER BY word")).scalars())


def add(connection: Connection, word: str) -> list[str]:
    told: list[str] = []
    pipeline.later(connection, ADD, {"word": word}, lambda rows: told.extend(r[0] for r in rows))
    return told


def test_what_waits_is_sent_with_the_next_statement_of_ours(database: Database) -> None:
    with database.begin() as connection:
        told = add(connection, "one"), add(connection, "two")
        assert told == ([], [])
        assert pipeline.execute(connection, ADD, {"word": "three"}) == [("three",)]
        assert told == (["one"], ["two"])
    assert words(database) == ["one", "three", "two"]


def test_or_before_a_statement_of_sqlalchemys(database: Database) -> None:
    with database.begin() as connection:
        told = add(connection, "one")
        assert connection.execute(text("DELETE FROM word")).rowcount == 1
        assert told == ["one"]
    assert words(database) == []


def test_or_with_the_commit(database: Database) -> None:
    with database.begin() as connection:
        told = add(connection, "one")
    assert (told, words(database)) == (["one"], ["one"])


def test_it_goes_with_what_is_rolled_back(database: Database) -> None:
    for is_begun in (False, True):
        with suppress(KeyError), database.begin() as connection:
            if is_begun:
                pipeline.execute(connection, ADD, {"word": "none"})
            add(connection, "one")
            raise KeyError
    assert words(database) == []


def add_both(database: Database, *both: str) -> None:
    with database.begin() as connection:
        for word in both:
            add(connection, word)


def test_an_error_is_counted(database: Database) -> None:
    board = metrics.Board(1)
    metrics.begin(board, board.take("lmtp") or 0)
    with pytest.raises(exc.IntegrityError):
        add_both(database, "one", "one")
    metrics.stop()
    assert board.totals().counts["database_errors", metrics.OTHER] == 1


def test_an_error_is_sqlalchemys_and_keeps_values_to_itself(database: Database) -> None:
    with database.begin() as connection:
        pipeline.execute(connection, ADD, {"word": "secret"})
    with pytest.raises(exc.IntegrityError) as caught:
        add_both(database, "other", "secret")
    assert "secret" not in str(caught.value)
    with pytest.raises(exc.DataError) as longer, database.begin() as connection:
        pipeline.execute(connection, ADD, {"word": "secretsecret"})
    assert "secret" not in str(longer.value)
    assert words(database) == ["secret"]


def test_a_connection_that_broke_is_given_up(database: Database) -> None:
    def lose_it() -> None:
        with database.begin() as connection, database.begin() as other:
            number = connection.execute(text("SELECT pg_backend_pid()")).scalar()
            other.execute(text("SELECT pg_terminate_backend(:number)"), {"number": number})
            pipeline.execute(connection, ADD, {"word": "one"})

    with pytest.raises(exc.OperationalError) as caught:
        lose_it()
    assert caught.value.connection_invalidated
    assert words(database) == []
