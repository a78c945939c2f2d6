"""lamson.delivery.journaling: each delivery has its row, in its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lamson.delivery.journaling import Journaling
from lamson.storage import journal_rows
from tests.unit.delivery.jobs import NOTE, codes, note
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database
    from lamson.storage.journal_rows import JournalRow
    from tests.unit.delivery.jobs import Run

HEADERS = Journaling(1000, is_whole=False)
STATES = """
    @route("(user)@(host)")
    def START(message, delivery: Delivery, user, host):
        if message.subject == "break":
            raise RuntimeError("broken")
        delivery.reply(body="x")
        return DONE

    @route("(user)@(host)")
    def DONE(message, user, host):
        pass

    @route("(user)@(host)")
    def ERROR(message, user, host):
        pass
"""


def rows(database: Database) -> list[JournalRow]:
    """In the order in which they came."""
    with database.read() as connection:
        return journal_rows.page(connection)[::-1]


def content(database: Database, row: JournalRow) -> bytes:
    with database.read() as connection:
        return journal_rows.content(connection, row.id) or b""


def test_what_came_is_there_with_what_became_of_it(
    make_run: Callable[..., Run], database: Database
) -> None:
    run = make_run(STATES, journal=HEADERS)
    came = make_message(
        b"From: Zed@E.example\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
        b"Message-ID: <1@x>\r\n\r\nhi\r\n"
    )
    run(came)
    (row,) = rows(database)
    assert (row.direction, row.source) == ("in", came.envelope.id)
    assert (row.correspondent, row.ours) == ("zed@e.example", came.recipient.address)
    assert (row.subject, row.message_id, row.size) == ("grüße", "<1@x>", len(came.raw))
    assert row.handler.endswith(".START")
    assert (row.state, row.next_state) == ("START", "DONE")
    assert (row.outcome, row.reply[:3]) == ("handled", "250")
    assert content(database, row) == came.raw[:-4]
    ((sent, envid),) = row.sent
    assert sent > row.id, "what came stands before its answer"
    assert envid == ""


def test_what_a_handler_refused_or_failed_over_is_there_too(
    make_run: Callable[..., Run], database: Database
) -> None:
    run = make_run(NOTE, journal=Journaling(50, is_whole=True))
    jobs = run(note("one"), note("two", "refuse"), note("three", "break"))
    assert codes(jobs) == [250, 550, 451]
    found = [(row.subject, row.outcome, row.reply[:3], len(row.sent)) for row in rows(database)]
    assert found == [
        ("one", "handled", "250", 1),
        ("two", "failed", "550", 0),
        ("three", "failed", "451", 0),
    ]
    assert content(database, rows(database)[1]) == jobs[1].message.raw[:50]


def test_what_is_kept_since_its_handler_broke_is_there_once(
    make_run: Callable[..., Run], database: Database
) -> None:
    run = make_run(STATES, journal=HEADERS)
    (job,) = run(note("break"))
    assert codes([job]) == [250]
    (row,) = rows(database)
    assert (row.outcome, row.state) == ("kept", "START")
    assert "raised an exception" in row.about


def test_nothing_of_it_is_there_where_the_transaction_failed(
    make_run: Callable[..., Run], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(NOTE, journal=HEADERS)

    def fail(*arguments: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("lamson.delivery.journaling.add", fail)
    with pytest.raises(OSError, match="no space"):
        run(note("one"))
    assert rows(database) == []


def test_without_a_journal_it_costs_no_statement(
    make_run: Callable[..., Run], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not database.is_sqlite:
        pytest.skip("one database shows it")

    def never(*arguments: Any) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(journal_rows, "add", never)
    monkeypatch.setattr("lamson.delivery.journaling.add", never)
    run = make_run(NOTE)
    assert codes(run(note("one"))) == [250]
