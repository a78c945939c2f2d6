"""lamson.storage.journal_sent: what submission made of a mail is written with its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.storage import journal_rows, journal_sent
from lamson.storage.journal_sent import JournalSent
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing

if TYPE_CHECKING:
    import pytest

    from lamson.storage.database import Database
    from lamson.storage.journal_rows import JournalRow

MAIL = b"From: L <users@test.com>\r\nSubject: Hi\r\n\r\nbody\r\n"


def outgoing(*recipients: str) -> Outgoing:
    return Outgoing("4Qz", "<1@test>", "bounces+x@test.com", recipients or ("Zed@e.example",), MAIL)


def made(database: Database, journal: JournalSent, *rows: Outgoing) -> Outbox:
    outbox = Outbox(database, "test", journal=journal)
    with database.begin() as connection:
        mine = outbox.insert(connection, rows)
    outbox.held.hold(mine)
    return outbox


def rows(database: Database) -> list[JournalRow]:
    with database.read() as connection:
        return journal_rows.page(connection)


def test_it_is_there_as_soon_as_the_outbox_has_it_no_more(database: Database) -> None:
    journal, mail = JournalSent(1000, is_whole=False), outgoing()
    outbox = made(database, journal, mail)
    row = outbox.held.begin()
    assert row is mail
    journal.note(row, row.recipients, "submitted", "250 2.0.0 Ok: queued as 4QzA")
    assert rows(database) == []
    outbox.held.take(row)
    outbox.delete_now()
    assert outbox.all() == []
    (found,) = rows(database)
    assert (found.id, found.direction, found.source) == (mail.id, "out", "4Qz")
    assert (found.correspondent, found.ours) == ("zed@e.example", "users@test.com")
    assert (found.subject, found.size, found.outcome) == ("Hi", len(MAIL), "submitted")
    assert found.reply == "250 2.0.0 Ok: queued as 4QzA"
    with database.read() as connection:
        assert journal_rows.content(connection, found.id) == MAIL[:-6]


def test_an_attempt_that_is_put_off_is_there_too(database: Database) -> None:
    journal, mail = JournalSent(1000, is_whole=True), outgoing("a@e.example", "b@e.example")
    outbox = made(database, journal, mail)
    row = outbox.held.begin()
    assert row is mail
    journal.note(row, ["a@e.example"], "submitted", "250 queued as 4QzA")
    row.recipients = ("b@e.example",)
    journal.note(row, row.recipients, "deferred", "451 later")
    outbox.defer(row, 0.0)
    (found,) = rows(database)
    assert found.recipients == ("a@e.example", "b@e.example")
    assert (found.outcome, found.reply) == ("mixed", "250 queued as 4QzA / 451 later")


def test_what_waits_for_a_database_is_bounded(
    monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(journal_sent, "MOST_WAITING", len(MAIL) + 1)
    journal = JournalSent(1000, is_whole=True)
    mails = [outgoing() for _ in range(3)]
    made(database, journal, *mails)
    for mail in mails:
        journal.note(mail, mail.recipients, "submitted", "250 Ok")
    ids = [mail.id for mail in mails]
    with database.begin() as connection:
        journal.write(connection, ids)
        kept = [journal_rows.content(connection, id) for id in ids]
    assert kept == [MAIL, MAIL, None]
    journal.written(ids)
    with database.begin() as connection:  # the room is free again
        journal.note(late := outgoing(), late.recipients, "submitted", "250 Ok")
        late.id = 0
        journal.write(connection, [0])
        assert journal_rows.content(connection, 0) == MAIL
