"""lamson.storage.state"""

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from lamson.storage.database import Database
from lamson.storage.state import MemoryStateStore, SqlStateStore, StateKey, StateStore
from lamson.storage.tables import state

ZED, ANN = StateKey("app.list", "zed@example.com"), StateKey("app.list", "ann@example.com")
ZED_ELSEWHERE = StateKey("app.desk", "zed@example.com")


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.begin() as connection:
        yield connection


@pytest.fixture
def store(connection: Connection) -> StateStore:
    return SqlStateStore(connection)


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


def test_without_a_database_states_are_kept_in_memory() -> None:
    store = MemoryStateStore()
    store.save({ZED: "POSTING"})
    assert store.load([ZED, ANN]) == {ZED: "POSTING", ANN: "START"}


def test_whoever_stays_at_the_start_leaves_no_row(
    store: StateStore, connection: Connection
) -> None:
    store.load([ZED, ANN])
    store.save({ZED: "POSTING"})
    assert connection.execute(select(state.c.author)).scalars().all() == [ZED.author]
    assert store.load([ZED, ANN]) == {ZED: "POSTING", ANN: "START"}
    store.save({})
    assert connection.execute(select(func.count()).select_from(state)).scalar_one() == 1


@pytest.mark.parametrize("part", ["x" * 5000, "\U0001f4ec" * 300, "nul\0", "half \ud83d", ""])
def test_no_key_is_too_much_for_the_database(store: StateStore, part: str) -> None:
    keys = [StateKey.make(part, "a@b"), StateKey.make("m", part), StateKey.make(part, part)]
    store.load(keys)
    store.save(dict.fromkeys(keys, "POSTING"))
    other = StateKey.make(part + "\0", "a@b")
    assert store.load([*keys, other]) == dict.fromkeys(keys, "POSTING") | {other: "START"}
