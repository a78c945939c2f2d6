"""lamson.storage.policy: what filters remember, on both databases."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, update

from lamson.storage import policy as module
from lamson.storage.database import Database
from lamson.storage.policy import Policy
from lamson.storage.tables import policy as table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    """The time of day, as a test sets it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = (
        f"sqlite:///{tmp_path}/lamson.db"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    database = Database(url)
    database.create_all()
    yield database
    database.close()


@pytest.fixture
def policy(database: Database) -> Policy:
    return Policy.beside(database)


def test_counts_begin_anew_after_their_time(policy: Policy, clock: Clock) -> None:
    assert [policy.count("zed", within=60) for _ in range(3)] == [1, 2, 3]
    assert policy.count("joe", within=60, by=5) == 5
    clock.now += 59
    assert policy.count("zed", within=60) == 4
    clock.now += 1
    assert policy.count("zed", within=60, by=0) == 0
    assert policy.count("zed", within=60) == 1


def test_ages_grow_and_are_forgotten_when_nobody_asks(policy: Policy, clock: Clock) -> None:
    assert policy.age("zed", keep=100) == 0.0
    for seconds in (90, 180, 270):
        clock.now = 1_000_000 + seconds
        assert policy.age("zed", keep=100) == seconds
    clock.now += 100
    assert policy.age("zed", keep=100) == 0.0
    clock.now -= 3600  # it was set back
    assert policy.age("zed", keep=100) == 0.0


def test_what_is_forgotten_begins_anew(policy: Policy, clock: Clock) -> None:
    policy.count("zed", within=60)
    policy.forget("zed")
    assert policy.count("zed", within=60) == 1


@pytest.mark.parametrize("name", ["", "x" * 100_000, "a\0b", "\udcff", "\n", "\u00fc"])
def test_any_name_is_a_name(policy: Policy, name: str) -> None:
    assert policy.count(name, within=60) == 1
    assert policy.count(name, within=60) == 2
    assert policy.count(name + "x", within=60) == 1


def test_no_time_is_a_mistake(policy: Policy) -> None:
    with pytest.raises(ValueError, match="'zed' for 0 seconds"):
        policy.count("zed", within=0)


def test_old_rows_go_as_others_come(policy: Policy, database: Database, clock: Clock) -> None:
    for number in range(120):
        policy.count(f"old{number}", within=10)
    clock.now += 11
    for _ in range(50):
        policy.count("new", within=10)
    with policy._database.read() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar() == 1


def test_a_name_that_begins_anew_meanwhile_does_not_go(
    policy: Policy, database: Database, clock: Clock
) -> None:
    if database.is_sqlite:
        pytest.skip("it has one writer")
    policy.count("old", within=10)
    clock.now += 11
    with policy._database.begin() as connection:  # in another worker
        connection.execute(update(table).values(until=clock.now + 10, number=7))
        for _ in range(50):
            policy.count("new", within=10)
    assert policy.count("old", within=10, by=0) == 7


def test_threads_and_workers_count_together(database: Database) -> None:
    workers = [Policy.beside(database) for _ in range(2)]

    def count() -> None:
        for worker in workers * 25:
            worker.count("all", within=3600)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert workers[0].count("all", within=3600, by=0) == 200


def test_sqlite_has_a_file_of_its_own_that_waits_for_no_handler(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/lamson.db?timeout=0.1")
    database.create_all()
    with database.begin():
        assert Policy.beside(database).count("zed", within=60) == 1
    assert (tmp_path / "lamson.db-policy").exists()
    database.close()


def test_a_table_that_was_rolled_back_is_made_again(tmp_path: Path) -> None:
    """The disk was full for a moment, say."""
    policy = Policy.beside(Database(f"sqlite:///{tmp_path}/lamson.db"))
    with pytest.raises(OverflowError):
        policy.count("zed", within=60, by=1 << 80)  # what no database takes
    assert policy.count("zed", within=60) == 1


def test_memory_stays_in_memory() -> None:
    policy = Policy.beside(Database("sqlite://"))
    assert policy.count("zed", within=60) == 1
    assert policy.count("zed", within=60) == 2
