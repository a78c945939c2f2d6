"""lamson.storage.keys: who claims one has it, for ever or for a time, and all others hear of it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from lamson.storage import keys
from lamson.storage.keys import Key
from tests.unit.support import others_wait
from tests.waiting import wait_for

if TYPE_CHECKING:
    from lamson.storage.database import Database


@pytest.mark.parametrize("values", [{"days": -1}, {"hours": float("inf")}, {"days": float("nan")}])
def test_a_key_holds_for_some_time(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="for ever or for some time"):
        Key("digest", **values)


def test_a_key_is_a_text_or_a_key() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        Key.of("")
    with pytest.raises(TypeError, match=r"a str or a lamson\.Key, not int"):
        Key.of(17)  # type: ignore[arg-type]
    assert Key.of("a") == Key("a")
    assert Key.of(Key("a", days=1)).seconds == 86400


def test_it_is_claimed_once(database: Database) -> None:
    with database.begin() as connection:
        assert keys.claim(connection, Key("a"), "<1@test>", 50.0) is None
        assert keys.claim(connection, Key("b", days=1), "<2@test>", 50.0) is None
    with database.begin() as connection:
        assert keys.claim(connection, Key("a"), "<3@test>", 4e9) == "<1@test>"
        assert keys.claim(connection, Key("b", days=1), "<3@test>", 86449.0) == "<2@test>"
        assert keys.claim(connection, Key("b", hours=1), "<3@test>", 86450.0) is None
        assert keys.claim(connection, Key("b"), "<4@test>", 86451.0) == "<3@test>"


@pytest.mark.parametrize("ahead", [-86400.0, 86400.0])
def test_the_clock_of_who_sends_is_not_asked(
    database: Database, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    """One that is wrong ends nobody's key, and has its own end when it should."""
    if database.is_sqlite:
        pytest.skip("has no clock but that of the machine")
    right = time.time
    with database.begin() as connection:
        assert keys.claim(connection, Key("right", hours=1), "<1@test>") is None
    monkeypatch.setattr(time, "time", lambda: right() + ahead)
    with database.begin() as connection:
        assert keys.claim(connection, Key("right", hours=1), "<2@test>") == "<1@test>"
        assert keys.claim(connection, Key("wrong", hours=1), "<2@test>") is None
        assert keys.purge(connection, None, 9) == 0
    monkeypatch.setattr(time, "time", right)
    with database.begin() as connection:
        assert keys.claim(connection, Key("wrong"), "<3@test>", right() + 3500) == "<2@test>"
        assert keys.claim(connection, Key("wrong"), "<3@test>", right() + 3700) is None


def test_those_that_have_ended_are_forgotten(database: Database) -> None:
    with database.begin() as connection:
        for name, days in (("ever", 0.0), ("day", 1.0), ("week", 7.0)):
            keys.claim(connection, Key(name, days=days), f"<{name}@test>", 0.0)
        assert keys.purge(connection, 2 * 86400.0, 9) == 1
        assert keys.purge(connection, 2 * 86400.0, 9) == 0
        assert keys.claim(connection, Key("week"), "<x@test>", 0.0) == "<week@test>"


def test_one_that_is_claimed_anew_is_not_forgotten(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("has one writer at a time")
    purged: list[int] = []

    def purge() -> None:
        with database.begin() as connection:
            purged.append(keys.purge(connection, 7200.0, 9))

    with database.begin() as connection:
        keys.claim(connection, Key("a", hours=1), "<1@test>", 0.0)
    thread = threading.Thread(target=purge)
    with database.begin() as connection:
        assert keys.claim(connection, Key("a"), "<2@test>", 7200.0) is None
        thread.start()
        wait_for(lambda: purged or others_wait(connection), "the purge")
    thread.join(10)
    assert purged == [0]
    with database.begin() as connection:
        assert keys.claim(connection, Key("a"), "<3@test>", 7200.0) == "<2@test>"


def test_a_claim_that_is_rolled_back_was_none(database: Database) -> None:
    """Who claims it meanwhile waits for that."""
    given: list[str | None] = []

    def claim() -> None:
        with database.begin() as connection:
            given.append(keys.claim(connection, Key("a"), "<2@test>", time.time()))

    thread = threading.Thread(target=claim)
    with database.begin() as connection:
        keys.claim(connection, Key("a"), "<1@test>", time.time())
        if not database.is_sqlite:  # whose writers queue before that
            thread.start()
        connection.rollback()
    if database.is_sqlite:
        thread.start()
    thread.join(10)
    assert given == [None]
