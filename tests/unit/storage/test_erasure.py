"""lamson.storage.erasure: what is kept of one mailbox goes, and nothing of the others."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, text

from lamson.storage import bounced, journal_rows, keys, lists, pending, scheduled, suppressed, tasks
from lamson.storage import tracked as storage_tracked
from lamson.storage.erasure import forget
from lamson.storage.journal_rows import Sent
from lamson.storage.keys import Key
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from lamson.storage.pending import Pending
from lamson.storage.state import StateKey
from lamson.storage.suppressed import Suppressed
from lamson.storage.tables import (
    metadata,
    outbox,
    state,
    thread_ids,
    thread_messages,
    thread_participants,
    threads,
)
from lamson.storage.tasks import Task
from lamson.storage.tracked import Tracked
from tests.unit.storage.test_journal_rows import row, write

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lamson.storage.database import Database

ZOE, FOLDED = "Zoë@Bücher.example", "zoë@xn--bcher-kva.example"
ANN = "ann@e.example"
NOW = 1_700_000_000.0


def mail(message_id: str, *recipients: str, due_at: float = 0.0) -> Outgoing:
    return Outgoing("4Qz", message_id, "l@test.com", recipients, b"x", due_at=due_at)


def tracked(id: str, *recipients: str) -> Tracked:
    return Tracked(id, f"<{id}@test>", "s", recipients, "m", None, "", NOW, NOW)


def thread(connection: Connection, id: str, *people: str) -> None:
    connection.execute(insert(threads).values(id=id, modules="m", subject="s", used_at=1.0))
    connection.execute(insert(state).values(module=f"m {id}", author="", state="OPEN"))
    for number, one in enumerate(people):
        values = {"thread": id, "address": one, "is_open": True, "number": number}
        connection.execute(insert(thread_participants).values(values))
        said: dict[str, Any] = {
            "thread": id,
            "digest": one.encode()[:16],
            "message_id": "",
            "author": one,
            "name": "",
            "said_at": 1.0,
            "kept_at": 1.0,
            "is_ours": False,
            "text": "x",
        }
        connection.execute(insert(thread_messages).values(said))
    connection.execute(insert(thread_ids).values(digest=id.encode(), thread=id, sent_at=1.0))


def posted_by(connection: Connection, author: str, digest: bytes) -> int:
    values: dict[str, Any] = {
        "message_id": "<p@e.example>",
        "subject": "s",
        "author": author,
        "posted_at": NOW,
        "content": b"what he wrote",
        "mode": lists.MAIL,
        "smtputf8": False,
        "shared": 7,
        "is_digested": False,
        "is_archived": True,
    }
    return lists.post(connection, "l@test.com", digest, (ZOE, ANN), **values)


def held_from(connection: Connection, author: str, digest: bytes) -> int:
    values: dict[str, Any] = {"author": author, "sender": author, "recipient": "l@test.com"}
    values |= {"subject": "s", "reason": "r", "smtputf8": False, "content": b"x"}
    return lists.hold(connection, "l@test.com", digest, **values)


def everything_of(connection: Connection) -> None:
    """What there may be of both, and of each alone."""
    for number, one in enumerate((ZOE, ANN)):
        folded = FOLDED if one is ZOE else ANN
        name = f"only-{number}"
        journal_rows.add(
            connection,
            [
                row(10 * number + 1, correspondent=one, content=b"x", sent=(Sent(1, ""),)),
                row(
                    10 * number + 2,
                    direction="out",
                    recipients=(one,),
                    correspondent=one,
                    envid=name,
                ),
                row(
                    10 * number + 4,
                    direction="out",
                    recipients=("third@x.example", "fourth@x.example"),
                    correspondent="third@x.example",
                    ours=one,
                    content=b"forwarded",
                ),
                row(10 * number + 3, correspondent="daemon@x.example", envid=name, about=one),
            ],
        )
        connection.execute(insert(state).values(module="m", author=folded, state="DONE"))
        payload = {"machine": "m", "author": folded}
        tasks.put(connection, [Task("timer", f"t{number}", payload, 1.0)])
        digest = bytes([number]) * 16
        pending.keep(connection, [Pending(digest, NOW, "4Qz", one, "l@test.com", True, b"x")])
        storage_tracked.insert(connection, [tracked(name, one)])
        keys.claim(connection, Key(name), f"<{name}@test>", NOW)
        bounced.count(connection, one, is_hard=True, now=NOW, window=1.0)
        suppressed.add(connection, Suppressed(one, "", "by hand"))
        lists.put(connection, "l@test.com", one, status=lists.ACTIVE)
        id = held_from(connection, one, digest)
        lists.decide(connection, id, "approved", ZOE)
        lists.arrived(connection, posted_by(connection, one, digest))
        thread(connection, name, folded)
    thread(connection, "both", FOLDED, ANN)
    journal_rows.add(
        connection, [row(50, direction="out", recipients=(ZOE, ANN), correspondent=ZOE)]
    )
    storage_tracked.insert(connection, [tracked("both", ZOE, ANN)])


def dump(database: Database) -> dict[str, list[Any]]:
    """All rows of our tables that have any."""
    with database.read() as connection:
        found = {
            table.name: sorted(map(repr, connection.execute(select(table))))
            for table in metadata.sorted_tables
        }
    return {name: rows for name, rows in found.items() if rows}


def test_all_of_one_goes_and_nothing_of_another(database: Database) -> None:
    later = time.time() + 1000
    with database.begin() as connection:
        mails = [
            mail("<later@test>", "ZOË@BÜCHER.example", due_at=later),
            mail("<both@test>", ANN, ZOE, due_at=later),
        ]
        Outbox(database, "x").insert(connection, mails)
        everything_of(connection)
    with database.begin() as connection:
        done = forget(connection, "ZOË@bücher.EXAMPLE", NOW)
    assert {name: number for name, number in done.numbers.items() if number} == {
        "scheduled mail": 2,
        "tracked mail": 2,
        "journal": 5,
        "keys": 1,
        "threads": 1,
        "places in threads of others": 1,
        "states": 1,
        "timers": 1,
        "mail that waits for a token": 1,
        "places on mailing lists": 1,
        "posts to mailing lists": 1,
        "posts that wait for a moderator": 1,
        "failures": 1,
    }
    left = dump(database)
    assert len(left.pop("lamson_suppressed")) == 2
    for rows in left.values():
        for one in rows:
            assert "zo" not in one.casefold(), one
            assert "zo\\\\xeb" not in one.casefold(), one
    assert len(left["lamson_journal"]) == 5
    for name in ("members", "posts", "held"):
        assert len(left[f"lamson_list_{name}"]) == 1
    assert len(left["lamson_threads"]) == 2
    with database.read() as connection:
        assert [one["message_id"] for one in scheduled.waiting(connection)] == ["<both@test>"]
        assert [one.id for one in journal_rows.page(connection, correspondent=ANN)] == [50, 12, 11]


def test_to_be_written_to_again_is_asked_for(database: Database) -> None:
    with database.begin() as connection:
        everything_of(connection)
    with database.begin() as connection:
        done = forget(connection, ZOE, NOW, is_unsuppressed=True)
        assert done.numbers["suppressions"] == 1
        assert [one.address for one in suppressed.listed(connection)] == [ANN]


def test_mail_that_is_being_submitted_is_told_of(database: Database) -> None:
    with database.begin() as connection:
        Outbox(database, "x").insert(connection, [mail("<1@test>", ZOE)])
    with database.begin() as connection:
        assert forget(connection, ZOE, time.time()).under_way == 1
        connection.execute(text("UPDATE lamson_outbox SET lease_until = 0"))
        done = forget(connection, ZOE, time.time())
        assert (done.under_way, done.numbers["mail in the outbox"]) == (0, 1)
        assert connection.execute(select(outbox)).first() is None


def test_a_post_that_goes_to_its_members_is_told_of(database: Database) -> None:
    with database.begin() as connection:
        id = posted_by(connection, ZOE, b"d" * 16)
    with database.begin() as connection:
        done = forget(connection, ZOE, NOW)
        assert (done.under_way, done.numbers["posts to mailing lists"]) == (1, 0)
        lists.arrived(connection, id)
        assert forget(connection, ZOE, NOW).numbers["posts to mailing lists"] == 1


def test_the_key_of_mail_that_others_get_too_stays_used(database: Database) -> None:
    """Tracked mail to many is a row for each of them, under one Message-ID and one key."""
    later = time.time() + 1000
    key, his = Key("news"), Key("his")
    with database.begin() as connection:
        keys.claim(connection, key, "<news@test>", NOW)
        keys.claim(connection, his, "<his@test>", NOW)
        mails = [mail("<news@test>", one, due_at=later) for one in (ZOE, ANN)]
        Outbox(database, "x").insert(connection, [*mails, mail("<his@test>", ZOE, due_at=later)])
    with database.begin() as connection:
        assert forget(connection, ZOE, NOW).numbers["keys"] == 1
        assert keys.claim(connection, key, "<again@test>", NOW) == "<news@test>"
        assert keys.claim(connection, his, "<again@test>", NOW) is None


def test_what_servers_said_of_mail_to_others_too_names_him_no_more(database: Database) -> None:
    said = "550 5.1.1 <ZOË@Bücher.example>: unknown; zoë@xn--bcher-kva.example. / 250 as 4Qz for "
    with database.begin() as connection:
        Outbox(database, "x").insert(connection, [mail("<1@test>", ANN, ZOE)])
        connection.execute(outbox.update().values(last_error=said + ANN, lease_until=0.0))
        sent = {"direction": "out", "recipients": (ANN, ZOE), "correspondent": ANN}
        journal_rows.add(connection, [row(1, reply=said + ANN, about=said, **sent)])
        forget(connection, ZOE, NOW)
        left = "550 5.1.1 <...>: unknown; ... / 250 as 4Qz for "
        assert connection.execute(select(outbox.c.last_error)).scalar() == left + ANN
        [one] = journal_rows.page(connection)
        assert (one.reply, one.about) == (left + ANN, left)


def test_a_long_word_that_a_server_said_takes_no_square_of_its_length(database: Database) -> None:
    """A million characters took an hour and more."""
    said = "x" * 1_000_000
    with database.begin() as connection:
        Outbox(database, "x").insert(connection, [mail("<1@test>", ANN, ZOE)])
        connection.execute(outbox.update().values(last_error=f"{said} {ZOE}", lease_until=0.0))
        forget(connection, ZOE, NOW)
        assert connection.execute(select(outbox.c.last_error)).scalar() == f"{said} ..."


def test_what_was_to_be_told_of_him_goes_with_his_conversations(database: Database) -> None:
    outcome = {"id": "x", "kind": "refused", "diagnostic": f"<{ZOE}>: unknown"}
    timer = {"machine": "m his", "author": "", "captures": {"who": "zoë"}}
    with database.begin() as connection:
        thread(connection, "his", FOLDED)
        thread(connection, "both", FOLDED, ANN)
        told = [
            Task("timer", "1", timer, 1.0),
            Task("timer", "2", {"machine": "m both", "author": ""}, 1.0),
            Task("outcome", "3", outcome | {"recipients": [ZOE]}),
            Task("outcome", "4", outcome | {"recipients": [ZOE, ANN]}),
            Task("outcome", "5", outcome | {"recipients": [ANN], "diagnostic": ""}),
            Task("later", "6", None),
        ]
        tasks.put(connection, told)
        of_his = replace(tracked("t", ANN), key=StateKey("m", FOLDED))
        storage_tracked.insert(connection, [of_his])
        done = forget(connection, ZOE, NOW).numbers
        assert (done["timers"], done["outcomes that nobody was told of"]) == (1, 1)
        left = storage_tracked.get(connection, "t")
        assert left is not None
        assert left.key is None
    rows = dump(database)["lamson_tasks"]
    assert len(rows) == 4
    assert not any("zo" in one.casefold() for one in rows)


def test_mail_that_waits_is_his_by_from_too(database: Database) -> None:
    header = b"From: Zo <zed@e.example>\r\nSubject: s\r\n\r\n"
    with database.begin() as connection:
        waits = [
            Pending(b"1" * 16, NOW, "4Qz", "srs0=x@relay.example", "l@test.com", True, header),
            Pending(b"2" * 16, NOW, "4Qz", ANN, "l@test.com", True, b"x" + header),
        ]
        pending.keep(connection, waits)
        assert forget(connection, "ZED@e.example", NOW).numbers["mail that waits for a token"] == 1
        assert pending.find(connection, b"2" * 16) is not None


def test_he_is_none_of_those_whom_a_post_under_way_names(database: Database) -> None:
    with database.begin() as connection:
        id = posted_by(connection, ANN, b"d" * 16)
        forget(connection, ZOE, NOW)
        found = lists.posted(connection, id)
        assert found is not None
        assert found["named"] == f'["{ANN}"]'


def test_many_rows_are_looked_at_a_few_at_a_time(database: Database) -> None:
    write(database, *(row(id, correspondent=ZOE if id % 2 else ANN) for id in range(1, 1203)))
    with database.begin() as connection:
        assert forget(connection, ZOE, NOW).numbers["journal"] == 601
        assert len(journal_rows.page(connection, limit=1000)) == 601
