"""Fixtures for tests of every kind: a real PostgreSQL, and databases on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postgres import PostgresInstance, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator


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
