"""For tests of every kind: how many examples, how they share workers, and databases.

`make test` runs them on several workers of pytest-xdist (``-n auto``), each with a PostgreSQL of
its own; `tests.schedule` says which test goes where.
"""

from __future__ import annotations

import compileall
import os
import re
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from lamson.storage.database import Database
from tests.postgres import PostgresInstance, why_not
from tests.schedule import Scheduling, in_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer

REPOSITORY = Path(__file__).parents[1]
_schemas = count(1)

# Examples for each property: while one works, in every run, in a night. On a machine that is busy
# with other things an example may take as long as it likes.
EXAMPLES = {"check": 25, "test": 100, "nightly": 3000}
TYPED = ("tests/docs/", "tests/examples/", "tests/intro/", "tests/web/")
NIGHTLY_TIMEOUT = 4 * 3600  # seconds for one property
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "test")
for _name, _examples in EXAMPLES.items():
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(PROFILE)


def pytest_configure(config: pytest.Config) -> None:
    """Compile Lamson once, where Python is told to keep no bytecode: else each of the many
    commands that tests run compiles all of it anew, which is most of their time."""
    if sys.dont_write_bytecode and not hasattr(config, "workerinput"):
        projects = re.compile(r"/(skeleton|examples)/")  # which are copied as they are
        for package in ("lamson", "lamson_lmtp", "lamson_milter"):
            compileall.compile_dir(REPOSITORY / package, quiet=2, rx=projects)


def pytest_xdist_auto_num_workers() -> int:
    """Two for each processor: servers, containers and Postfix are waited for most of the time."""
    return min(2 * len(os.sched_getaffinity(0)), 8)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if PROFILE == "nightly":  # whatever a file says of its tests
        for item in items:
            item.add_marker(pytest.mark.timeout(NIGHTLY_TIMEOUT), append=False)
    if hasattr(config, "workerinput"):  # on a worker of pytest-xdist
        items[:] = in_order(items)


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """A command that is run in this process changes what files the next test makes."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def _hardly_measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whole programs that pages and examples have one type, it would cost half as much again."""
    if request.node.nodeid.startswith(TYPED):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture
def _unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage is not measured in what the test starts: it is killed, or its speed matters."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresInstance]:
    """A private PostgreSQL, one for each worker. Tests that use it are marked `postgres`."""
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
    """An empty database of the test's own: once SQLite, once a schema on the PostgreSQL."""
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
