"""lamson.storage.far_leases"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lamson.storage.far_leases import PATIENCE, FarLeases
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing

if TYPE_CHECKING:
    import pytest

    from lamson.storage.database import Database

AHEAD = 40 * 24 * 3600.0  # seconds


def leave(database: Database, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    """Somebody leases a row while his clock is ahead."""
    outbox = Outbox(database, "gone")
    ahead = time.time() + AHEAD
    with monkeypatch.context() as patch, database.begin() as connection:
        patch.setattr("lamson.storage.outbox.time.time", lambda: ahead)
        row = Outgoing("4Qz", "<1@test>", "", ("zed@b.example",), b"x\r\n")
        outbox.insert(connection, [row])
    return outbox


def test_what_stays_leased_for_too_long_is_given_back(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    leave(database, monkeypatch)
    now = 0.0
    outbox = Outbox(database, "a")
    leases = FarLeases(outbox, lambda: now)
    leases.release()
    now = PATIENCE
    leases.release()
    assert outbox.owners() == ["gone"]
    now = PATIENCE + 1
    leases.release()
    assert "1 rows were leased by gone" in caplog.text
    assert len(outbox.claim(10)) == 1
    leases.release()
    assert outbox.owners() == ["a"]


def test_what_is_leased_anew_is_left_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner lives, and its clock is right again, or ahead still."""
    leave(database, monkeypatch)
    now = 0.0
    outbox = Outbox(database, "a")
    leases = FarLeases(outbox, lambda: now)
    for _ in range(3):
        leases.release()
        now += PATIENCE
        with database.begin() as connection:
            connection.exec_driver_sql("UPDATE lamson_outbox SET lease_until = lease_until + 1")
    assert outbox.owners() == ["gone"]


def test_an_operator_need_not_wait(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(database, monkeypatch)
    outbox = Outbox(database, "a")
    assert outbox.retry(None) == 1
    assert len(outbox.claim(10)) == 1
    assert outbox.retry(None) == 0
