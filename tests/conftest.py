"""Fixtures for tests of every kind: a real PostgreSQL, and databases on it and on SQLite."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from lamson.storage.database import Database
from tests.postgres import PostgresInstance, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_schemas = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresInstance]:
    """A private PostgreSQL, one for the whole run. Tests that use it are marked `postgres`."""
    if reason := why_not():
        pytest.skip(reason)
    with PostgresInstance(durable=False) as instance:
        yield instance


@pytest.fixture
def postgres_url(postgres: PostgresInstance) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database of the test's own."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of the test's own: once SQLite, once a schema on the one PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    instance: PostgresInstance = request.getfixturevalue("postgres")
    schema = f"test{next(_schemas)}"
    instance.execute(f"CREATE SCHEMA {schema}")
    return f"{instance.url()}?options=-c search_path={schema}"


@pytest.fixture
def empty_database(database_url: str) -> Iterator[Database]:
    """The same as a Database, still without our tables."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def database(empty_database: Database) -> Database:
    """The same with our tables."""
    empty_database.create_all()
    return empty_database
