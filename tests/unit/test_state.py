"""lamson.state"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lamson.db import Database
from lamson.state import MemoryStateStore, SqlStateStore, StateKey, StateStore

ZED, ANN = StateKey("app.list", "zed@example.com"), StateKey("app.list", "ann@example.com")
ZED_ELSEWHERE = StateKey("app.desk", "zed@example.com")


@contextmanager
def sql_store() -> Iterator[StateStore]:
    database = Database("sqlite://")
    database.create_all()
    with database.begin() as connection:
        yield SqlStateStore(connection)
    database.close()


@contextmanager
def memory_store() -> Iterator[StateStore]:
    yield MemoryStateStore()


@pytest.fixture(params=[sql_store, memory_store])
def store(request: pytest.FixtureRequest) -> Iterator[StateStore]:
    with request.param() as made:
        yield made


def test_whoever_is_unknown_is_at_the_start(store: StateStore) -> None:
    assert store.load({ZED, ANN}) == {ZED: "START", ANN: "START"}


def test_a_state_belongs_to_machine_and_author(store: StateStore) -> None:
    store.save({ZED: "POSTING", ANN: "CONFIRMING"})
    store.save({ZED: "ERROR"})
    assert store.load([ZED, ANN, ZED_ELSEWHERE]) == {
        ZED: "ERROR",
        ANN: "CONFIRMING",
        ZED_ELSEWHERE: "START",
    }


def test_nothing_to_load_or_save(store: StateStore) -> None:
    store.save({})
    assert store.load([]) == {}
