"""lamson.storage.suppressed and bounced: who gets no mail any more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from lamson.storage import bounced, suppressed, tracked
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from lamson.storage.suppressed import EMPTY_FOR, Suppressed, Suppression
from lamson.storage.tracked import Tracked

if TYPE_CHECKING:
    import pytest

    from lamson.storage.database import Database


def row(*recipients: str, **more: Any) -> Outgoing:
    return Outgoing("4Qz", "<1@test>", "list@test.com", recipients, b"x\r\n", **more)


def insert(database: Database, outbox: Outbox, *rows: Outgoing) -> list[tuple[str, ...]]:
    with database.begin() as connection:
        outbox.insert(connection, list(rows))
    return [one.recipients for one in outbox.all()]


def test_an_address_is_one_however_it_is_spelt(database: Database) -> None:
    with database.begin() as connection:
        assert suppressed.add(connection, Suppressed("Zoé@BÜCHER.example", "", "by hand"))
        assert not suppressed.add(connection, Suppressed("zoé@xn--bcher-kva.example", "", "again"))
        assert suppressed.add(connection, Suppressed("zoé@bücher.example", "users", "complaint"))
        assert [(one.scope, one.reason) for one in suppressed.listed(connection)] == [
            ("", "by hand"),
            ("users", "complaint"),
        ]
        assert len(list(suppressed.listed(connection, "users"))) == 1
        assert suppressed.remove(connection, "ZOÉ@bücher.example", "users") == 1
        assert suppressed.remove(connection, "ZOÉ@bücher.example") == 1
        assert suppressed.remove(connection, "zoé@bücher.example") == 0


def test_who_is_suppressed_is_left_out(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    outbox = Outbox(database, "test")
    with database.begin() as connection:
        suppressed.add(connection, Suppressed("ann@example.com", "", "unknown-user 5.1.1"))
        suppressed.add(connection, Suppressed("bob@example.com", "users", "complaint"))
    sent = insert(
        database,
        outbox,
        row("ANN@example.com", "bob@example.com"),
        row("ann@example.com", "bob@example.com", "joe@example.com", scope="users"),
        row("bob@example.com", scope="others"),
        row("Ann@Example.COM"),
    )
    assert sent == [("bob@example.com",), ("joe@example.com",), ("bob@example.com",)]
    told = [one for one in caplog.messages if one.startswith("suppressed id=4Qz")]
    assert len(told) == 3
    assert "recipients=ann@example.com,bob@example.com" in told[1]


def test_the_order_of_mail_to_them_stays(database: Database) -> None:
    """What went to all before and goes to some now is behind it still."""
    outbox = Outbox(database, "test")
    first, second = row("a@b.example", "c@d.example"), row("a@b.example", "c@d.example")
    insert(database, outbox, first)
    with database.begin() as connection:
        suppressed.add(connection, Suppressed("a@b.example", "", "by hand"))
    outbox.held.begin_look()
    outbox.held.end_claim()
    insert(database, outbox, replace(second, envid="x"))
    names = {one.conversation for one in outbox.all()}
    assert len(names) == 1


def test_an_empty_list_costs_a_look_a_second(database: Database) -> None:
    now = [100.0]
    suppression = Suppression(clock=lambda: now[0])
    asked: list[str] = []

    def applied(*rows: Outgoing) -> int:
        asked.clear()
        with database.begin() as connection:
            if database.is_sqlite:
                driver: Any = connection.connection.driver_connection
                driver.set_trace_callback(asked.append)
            else:
                event.listen(connection, "before_cursor_execute", lambda *a: asked.append(a[2]))
            suppression.applied(connection, list(rows))
            if database.is_sqlite:
                driver.set_trace_callback(None)
            return len([one for one in asked if "lamson_suppressed" in one])

    assert applied(row("a@b.example")) == 2
    assert applied(row("a@b.example")) == 0
    assert applied(row("a@b.example", envid="x")) == 2, "of tracked mail each time"
    now[0] += EMPTY_FOR
    assert applied(row("a@b.example")) == 2


def test_another_process_added_one(database: Database) -> None:
    now = [100.0]
    suppression = Suppression(clock=lambda: now[0])
    with database.begin() as connection:
        assert len(suppression.applied(connection, [row("a@b.example")])) == 1
        suppressed.add(connection, Suppressed("a@b.example", "", "by hand"))
        now[0] += EMPTY_FOR
        assert suppression.applied(connection, [row("a@b.example")]) == []
        assert suppression.applied(connection, [row("a@b.example")]) == []


def test_tracked_mail_is_kept_and_told_of_once(database: Database) -> None:
    mail = Tracked("abc", "<1@test>", "hé\0llo", ("a@b.example",), "app", None, "", 100.0, 200.0)
    outbox = Outbox(database, "test", max_recipients=1)
    parts = outbox.split([row("a@b.example", "c@d.example", envid="abc", tracked=mail)])
    insert(database, outbox, *parts)
    assert {one.envid for one in outbox.all()} == {"abc"}
    with database.begin() as connection:
        found = tracked.get(connection, "abc")
        assert found == replace(mail, subject="hé?llo")
        assert tracked.is_first(connection, mail.id, mail.until, "failed", "x")
        assert not tracked.is_first(connection, mail.id, mail.until, "failed", "x")
        assert tracked.is_first(connection, mail.id, mail.until, "delayed", "x")
        assert tracked.purge(connection, 199.0, 9) == 0
        assert tracked.purge(connection, 201.0, 9) == 2
        assert tracked.get(connection, "abc") is None
        assert tracked.is_first(connection, mail.id, mail.until, "failed", "x")


def test_failures_are_counted_within_a_window(database: Database) -> None:
    def count(now: float, *, is_hard: bool = False) -> tuple[int, int]:
        return bounced.count(connection, "A@b.example", is_hard=is_hard, now=now, window=10.0)

    with database.begin() as connection:
        assert count(100.0) == (0, 1)
        assert count(110.0) == (0, 2)
        assert count(111.0) == (0, 1), "the window begins anew"
        assert count(112.0, is_hard=True) == (1, 1)
        assert bounced.of(connection, "a@B.example") == (1, 1)
        assert bounced.purge(connection, 112.0 + bounced.KEPT, 9) == 0
        assert bounced.purge(connection, 113.0 + bounced.KEPT, 9) == 1
        assert bounced.of(connection, "a@b.example") == (0, 0)
