"""lamson.storage.threads: found by what was sent, bounded, and forgotten in pieces."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from lamson.message.history import Said
from lamson.storage import tables, threads
from lamson.storage.state import SqlStateStore, StateKey
from lamson.storage.threads import Change, Entry, Known

if TYPE_CHECKING:
    import pytest
    from sqlalchemy import Connection

    from lamson.storage.database import Database

KEEP = 1000.0
MODULE = "app.handlers.desk"


def entry(number: int, text: str = "hello") -> Entry:
    said = Said("zed@example.com", "Zed", datetime.fromtimestamp(number, UTC), text)
    return Entry(threads.digest(f"<{number}@example.com>"), f"<{number}@example.com>", said)


def change(name: str, *sent: str, entries: int = 0, start: int = 0) -> Change:
    taking = {"zed@example.com": True, "ann@test.com": False}
    thread = Known(name, "Printer", participants=dict(taking), is_new=True)
    digests = [threads.digest(one) for one in sent]
    return Change(thread, MODULE, taking, digests, [entry(start + n) for n in range(entries)])


def counted(connection: Connection) -> dict[str, int]:
    names = ("threads", "thread_participants", "thread_ids", "thread_messages", "state")
    counts = {}
    for name in names:
        query = select(func.count()).select_from(getattr(tables, name))
        counts[name] = connection.execute(query).scalar_one()
    return counts


def test_it_is_found_by_what_was_sent_in_it(database: Database) -> None:
    with database.begin() as connection:
        threads.write(connection, [change("b", "<2@x>", entries=2), change("a", "<1@x>")], 1, KEEP)
    with database.begin() as connection:
        wanted = {threads.digest(one): one for one in ("<1@x>", "<2@x>", "<3@x>")}
        sent = threads.sent_in(connection, wanted)
        assert {wanted[one]: known.id for one, known in sent.items()} == {
            "<1@x>": "a",
            "<2@x>": "b",
        }
        assert {known.subject for known in sent.values()} == {"Printer"}
        addresses = {"ann@test.com", "eve@evil.example"}
        assert threads.taking_part(connection, {"a", "c"}, addresses) == {("a", "ann@test.com")}
        found = threads.lock(connection, {"a", "b", "c"})
        assert list(found) == ["a", "b"]
        assert found["a"].modules == {MODULE}
        assert found["a"].participants == {"zed@example.com": True, "ann@test.com": False}
        assert not found["a"].is_new
        assert threads.entries(connection, "b") == [entry(0), entry(1)]
        assert threads.entries(connection, "c") == []
        assert threads.sent_in(connection, ()) == {}
        assert threads.taking_part(connection, {"a"}, ()) == set()
        assert threads.lock(connection, ()) == {}
        threads.write(connection, [], 1, KEEP)


def test_an_id_belongs_to_the_thread_that_had_it_first(database: Database) -> None:
    with database.begin() as connection:
        threads.write(connection, [change("a", "<1@x>"), change("b", "<1@x>")], 1, KEEP)
        threads.write(connection, [change("c", "<1@x>")], 2, KEEP)
        (known,) = threads.sent_in(connection, [threads.digest("<1@x>")]).values()
        assert known.id == "a"


def test_what_is_said_twice_is_there_once(database: Database) -> None:
    for _ in range(2):
        with database.begin() as connection:
            threads.write(connection, [change("a", "<1@x>", entries=1)], 1, KEEP)
    with database.read() as connection:
        assert threads.entries(connection, "a") == [entry(0)]
        assert counted(connection)["thread_ids"] == 1


def test_what_is_kept_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MAX_MESSAGES", 3)
    monkeypatch.setattr(threads, "MAX_IDS", 2)
    with database.begin() as connection:
        threads.write(connection, [change("b", "<b@x>", entries=1)], 1, KEEP)
        for number in range(5):
            threads.write(
                connection, [change("a", f"<{number}@x>", entries=1, start=number)], number, KEEP
            )
        assert threads.entries(connection, "a") == [entry(2), entry(3), entry(4)]
        assert threads.entries(connection, "b") == [entry(0)]
        digests = {threads.digest(f"<{number}@x>"): number for number in range(5)}
        assert {digests[one] for one in threads.sent_in(connection, digests)} == {3, 4}
        long = Change(Known("a", ""), MODULE, entries=[entry(9, "x" * 20_000)])
        threads.write(connection, [long], 9, KEEP)
        assert len(threads.entries(connection, "a")[-1].said.text) == threads.MAX_TEXT
        threads.write(connection, [change("a", entries=1, start=10)], KEEP + 9.5, KEEP)
        assert threads.entries(connection, "a") == [entry(10)], "the others were said long ago"


def test_strange_texts(database: Database) -> None:
    said = Said("z\0@x", "a\ud800b", datetime.fromtimestamp(0, UTC), "c\0d")
    odd = Entry(threads.digest("<\udcff@x>"), "<\udcff@x>", said)
    with database.begin() as connection:
        thread = Known("a", "nul \0 and \ud800")
        threads.write(connection, [Change(thread, MODULE, entries=[odd])], 1, KEEP)
        assert threads.entries(connection, "a")[0].said.text == "c?d"


def test_it_is_forgotten_without_mail(database: Database) -> None:
    with database.begin() as connection:
        names = ("a", "b", "c")
        threads.write(
            connection, [change(name, f"<{name}@x>", entries=2) for name in names], 1, KEEP
        )
        threads.write(connection, [change("d", "<d@x>", entries=1)], 2, KEEP)
        states = SqlStateStore(connection)
        states.save({StateKey(threads.state_of(MODULE, name), ""): "OPEN" for name in "abcd"})
        states.save({StateKey(MODULE, "zed@example.com"): "OPEN"})
    with database.begin() as connection:
        assert threads.purge(connection, KEEP + 0.5, KEEP, 2) == 0
    with database.begin() as connection:
        assert threads.purge(connection, KEEP + 1.5, KEEP, 2) == 2
        assert threads.purge(connection, KEEP + 1.5, KEEP, 2) == 1
        assert threads.purge(connection, KEEP + 1.5, KEEP, 2) == 0
        assert counted(connection) == {
            "threads": 1,
            "thread_participants": 2,
            "thread_ids": 1,
            "thread_messages": 1,
            "state": 2,
        }


def test_mail_to_a_known_thread_keeps_it(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(
            insert(tables.threads).values(id="a", modules="one", subject="s", used_at=1)
        )
        known = threads.lock(connection, ["a"])["a"]
        threads.write(connection, [Change(known, MODULE)], KEEP, KEEP)
        assert threads.purge(connection, KEEP + 500, KEEP, 2) == 0
        assert threads.lock(connection, ["a"])["a"].modules == {"one", MODULE}
