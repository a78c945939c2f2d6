"""lamson.storage.outbox"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from lamson.storage.database import Database
from lamson.storage.held import HeldRows
from lamson.storage.outbox import RELEASED, ROW, Outbox
from lamson.storage.outgoing import Outgoing
from lamson.storage.room import AT_ONCE, Budget


def make(recipient: str = "zed@example.com", number: int = 1) -> Outgoing:
    return Outgoing("4Qz", f"<{number}@test>", "list@test.com", (recipient,), b"x\r\n")


def insert(database: Database, outbox: Outbox, rows: Sequence[Outgoing]) -> list[Outgoing]:
    with database.begin() as connection:
        return outbox.insert(connection, rows)


def test_what_was_inserted_is_leased_to_us(database: Database) -> None:
    ours, other = Outbox(database, "a"), Outbox(database, "b")
    mine = insert(database, ours, [make()])
    assert [row.message_id for row in mine] == ["<1@test>"]
    assert other.claim(10) == []
    assert ours.count() == 1


def test_a_rolled_back_row_is_not_there(database: Database) -> None:
    outbox = Outbox(database, "a")
    with database.begin() as connection:
        outbox.insert(connection, [make()])
        connection.rollback()
    assert outbox.count() == 0


def test_a_lease_that_ran_out_is_claimed_whole(database: Database) -> None:
    dead, alive = Outbox(database, "dead", lease=0.0), Outbox(database, "alive")
    (row,) = insert(database, dead, [make()])
    (claimed,) = alive.claim(10)
    assert (claimed.content, claimed.id) == (row.content, row.id)
    assert claimed.recipients == ("zed@example.com",)
    assert claimed.lease_until > time.time()
    assert alive.claim(10) == []


def test_leases_of_the_dead_are_given_back(database: Database) -> None:
    insert(database, Outbox(database, "host:/srv/app:17"), [make()])
    outbox = Outbox(database, "host:/srv/app:18")
    assert outbox.release_owner("host:/srv/app:1") == 0
    assert outbox.release_owner("host:/srv/app:17") == 1
    assert len(outbox.claim(10)) == 1


def test_a_row_stands_behind_one_that_waits_whoever_has_the_newest(database: Database) -> None:
    outbox = Outbox(database, "a")
    first, *_ = insert(database, outbox, [make(number=1), make(number=2)])
    outbox.release([first.id])
    assert insert(database, outbox, [make(number=3)]) == []
    assert [row.message_id for row in insert(database, outbox, [make("ann@example.com")])] == [
        "<1@test>"
    ]


def test_leases_are_given_back_in_pieces_of_so_many_octets(database: Database) -> None:
    rows = [make(f"{number}@example.com") for number in range(4)]
    for number, row in enumerate(rows[:3]):  # no two alike: they would share one
        row.content = b"%d" % number * (RELEASED - 3 * ROW)
    insert(database, Outbox(database, "dead"), rows)
    committed: list[int] = []
    event.listen(database.engine, "commit", lambda connection: committed.append(1))
    assert Outbox(database, "alive").release_owner("dead") == 4
    assert len(committed) == 3  # the last two together


def test_what_a_failed_claim_leased_is_claimed_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after the commit: nobody would have the row until its lease ran out."""
    outbox = Outbox(database, "test")
    (row,) = insert(database, Outbox(database, "dead"), [make()])
    outbox.release_owner("dead")
    really_begin = database.begin

    @contextmanager
    def begin() -> Iterator[Connection]:
        with really_begin() as connection:
            yield connection
        raise OperationalError("COMMIT", {}, Exception("server closed the connection"))

    with monkeypatch.context() as patch:
        patch.setattr(database, "begin", begin)
        with pytest.raises(OperationalError):
            outbox.claim(10)
    assert outbox.owners() == ["test"]
    assert [one.id for one in outbox.doubtful] == [row.id]
    outbox.release([one.id for one in outbox.doubtful])
    assert len(outbox.claim(10)) == 1


def test_a_conversation_keeps_its_order(database: Database) -> None:
    outbox = Outbox(database, "a")
    other = Outbox(database, "b")
    assert len(insert(database, outbox, [make(number=1), make(number=2)])) == 2
    assert len(insert(database, outbox, [make(number=3)])) == 1
    assert insert(database, other, [make(number=4)]) == []
    assert len(insert(database, other, [make("ann@example.com", 5)])) == 1


def test_a_conversation_is_claimed_whole_and_in_order(database: Database) -> None:
    dead = Outbox(database, "dead", lease=0.0)
    insert(database, dead, [make(number=1), make(number=2), make("ann@example.com", 3)])
    rows = Outbox(database, "a").claim(10)
    zed = [row.message_id for row in rows if row.recipients == ("zed@example.com",)]
    assert zed == ["<1@test>", "<2@test>"]
    assert len(rows) == 3
    assert Outbox(database, "b").claim(10) == []


def test_what_follows_a_deferred_row_is_not_claimed(database: Database) -> None:
    outbox = Outbox(database, "a", lease=0.0)
    first, second, third = insert(database, outbox, [make(number=n) for n in (1, 2, 3)])
    second.attempts = 1
    outbox.defer(second, time.time() + 60)
    assert [row.id for row in Outbox(database, "b").claim(10)] == [first.id]
    Outbox(database, "b").delete([first.id])
    assert Outbox(database, "c").claim(10) == []
    assert third.conversation == second.conversation


def test_a_deferred_row_comes_back_when_it_is_due(database: Database) -> None:
    outbox = Outbox(database, "a")
    (row,) = insert(database, outbox, [make()])
    row.attempts, row.last_error, row.recipients = 1, "451 later", ("zed@example.com",)
    outbox.defer(row, time.time() + 60)
    assert outbox.claim(10) == []
    outbox.retry(row.id)
    (again,) = outbox.claim(10)
    assert (again.attempts, again.last_error) == (1, "451 later")


def test_a_clock_that_was_set_back_puts_nothing_off(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(database, "a")
    ahead = time.time() + 40 * 24 * 3600
    with monkeypatch.context() as patch:
        patch.setattr("lamson.storage.outbox.time.time", lambda: ahead)
        (first,) = insert(database, outbox, [make()])
        outbox.defer(first, time.time() + 60)
        assert outbox.claim(10) == []
    second = make()
    assert insert(database, outbox, [second]) == []  # it stands behind the first
    assert {row.id for row in outbox.claim(10)} == {first.id, second.id}


def test_released_rows_can_be_claimed_at_once(database: Database) -> None:
    outbox = Outbox(database, "a")
    (row,) = insert(database, outbox, [make()])
    outbox.release([row.id])
    assert len(Outbox(database, "b").claim(10)) == 1


def test_a_full_relay_leaves_new_rows_in_the_table(database: Database) -> None:
    outbox = Outbox(database, "a", HeldRows(limit=0))
    assert insert(database, outbox, [make()]) == []
    assert len(outbox.claim(10)) == 1


def test_one_that_becomes_full_or_empties_meanwhile_takes_all_rows_of_an_insert_or_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the second would leave before the first."""
    answers = iter([True, False])
    monkeypatch.setattr(HeldRows, "is_full", property(lambda held: next(answers)))
    assert insert(database, Outbox(database, "a"), [make(number=1), make(number=2)]) == []


def test_much_mail_is_inserted_in_parts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server takes no statement of any size: what a delivery sends is not bounded by it."""
    outbox = Outbox(database, "a")
    sizes: list[int] = []
    really_insert = outbox._insert

    def record(connection: Connection, rows: Sequence[Outgoing]) -> Sequence[Outgoing]:
        sizes.append(sum(len(row.content) for row in rows))
        return really_insert(connection, rows)

    monkeypatch.setattr(outbox, "_insert", record)
    rows = [make(f"{number}@example.com", number) for number in range(5)]
    for row in rows:
        row.content = bytes(AT_ONCE // 2)
    insert(database, outbox, rows)
    assert (outbox.count(), max(sizes), len(sizes)) == (5, AT_ONCE, 3)


def test_what_finds_no_room_stays_in_the_table_and_so_does_what_follows_it(
    database: Database,
) -> None:
    outbox = Outbox(database, "a", HeldRows(budget=Budget(7)))  # a row has three octets
    rows = [make(number=1), make("ann@example.com", 2), make(number=3), make(number=4)]
    assert insert(database, outbox, rows) == rows[:2]
    assert outbox.held.budget.wanted == 3
    outbox.held.hold(rows[:2])
    assert insert(database, outbox, [make("joe@example.com", 5)]) == []
    assert outbox.claim(10) == []


def test_a_claim_takes_what_there_is_room_for_in_order(database: Database) -> None:
    dead = Outbox(database, "dead", lease=0.0)
    names = ["zed@example.com", "zed@example.com", "ann@example.com", "zed@example.com"]
    insert(database, dead, [make(name, number) for number, name in enumerate(names)])
    outbox = Outbox(database, "a", HeldRows(budget=Budget(9)))
    rows = outbox.claim(10)
    assert [row.message_id for row in rows] == ["<0@test>", "<2@test>", "<1@test>"]
    assert {row.content for row in rows} == {b"x\r\n"}
    assert (outbox.held.budget.coming, outbox.held.budget.wanted) == (9, 3)
    assert Outbox(database, "b").claim(10) == []  # the last one stands behind ours


def test_a_message_larger_than_all_room_goes_alone(database: Database) -> None:
    dead = Outbox(database, "dead", lease=0.0)
    insert(database, dead, [make("ann@example.com", 1), make("joe@example.com", 2)])
    outbox = Outbox(database, "a", HeldRows(budget=Budget(2)))
    (row,) = outbox.claim(10)
    outbox.held.hold_claimed([row])
    assert outbox.claim(10) == []
    assert outbox.held.is_full


def test_what_does_not_fit_is_not_skipped_for_ever(database: Database) -> None:
    """Small mail would fill the room each time anew: it has to wait behind a large one."""
    dead = Outbox(database, "dead", lease=0.0)
    large = make("ann@example.com")
    large.content = b"large\r\n"
    insert(database, dead, [large, make("joe@example.com")])
    outbox = Outbox(database, "a", HeldRows(budget=Budget(7)))
    outbox.held.hold(insert(database, outbox, [make()]))
    assert outbox.claim(10) == []
    assert insert(database, outbox, [make("sue@example.com")]) == []
    row = outbox.held.begin()
    assert row is not None
    outbox.held.take(row)
    assert outbox.held.has_room_again
    outbox.held.budget.want_nothing()
    assert [one.content for one in outbox.claim(10)] == [b"large\r\n"]


def test_people_look_at_the_rows_without_their_content(database: Database) -> None:
    outbox = Outbox(database, "a")
    (row,) = insert(database, outbox, [make()])
    (seen,) = outbox.all()
    assert (seen.id, seen.content) == (row.id, b"")
    assert outbox.get(row.id) == seen
    assert (outbox.content(row.id), outbox.content(1)) == (b"x\r\n", None)


def test_what_is_to_be_deleted_comes_again_where_the_transaction_fails(database: Database) -> None:
    outbox = Outbox(database, "a")
    outbox.held.hold(insert(database, outbox, [make()]))
    row = outbox.held.begin()
    assert row is not None
    outbox.held.take(row)

    def delete_and_fail() -> None:
        with outbox.deleting() as delete, database.begin() as connection:
            delete(connection)
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        delete_and_fail()
    assert (outbox.count(), outbox.held.has_deletions) == (1, True)
    outbox.delete_now()
    assert (outbox.count(), outbox.held.known()) == (0, set())


@pytest.mark.postgres
def test_what_a_transaction_does_not_see_is_not_deleted_by_it(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its snapshot is older than the row: a DELETE of no rows is not done."""
    database = Database(postgres_url)
    database.create_all()
    outbox = Outbox(database, "a")
    old = database.engine.connect().execution_options(isolation_level="REPEATABLE READ")
    with outbox.deleting() as delete, old.begin():
        old.exec_driver_sql("SELECT count(*) FROM lamson_outbox")
        outbox.held.hold(insert(database, outbox, [make()]))
        row = outbox.held.begin()
        assert row is not None
        outbox.held.take(row)
        delete(old)
    old.close()
    assert (outbox.count(), outbox.held.is_behind) == (1, True)
    assert "looking again" in caplog.text
    outbox.delete_now()
    assert (outbox.count(), outbox.held.known()) == (0, set())
    database.close()


@pytest.mark.postgres
def test_what_another_process_has_deleted_is_done_with(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(postgres_url)
    database.create_all()
    outbox = Outbox(database, "a")
    outbox.held.hold(insert(database, outbox, [make()]))
    row = outbox.held.begin()
    assert row is not None
    outbox.held.take(row)
    outbox.delete([row.id])
    outbox.delete_now()
    assert outbox.held.known() == set()
    assert "another process had them too" in caplog.text
    database.close()


def test_ids_rise(database: Database) -> None:
    outbox = Outbox(database, "a")
    rows = insert(database, outbox, [make(f"{n}@example.com") for n in range(100)])
    assert [row.id for row in rows] == sorted({row.id for row in rows})


@pytest.mark.postgres
def test_an_id_that_another_node_has_used_is_left_to_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(postgres_url)
    database.create_all()
    monkeypatch.setattr(time, "time_ns", lambda: 1000)
    first, second = Outbox(database, "a"), Outbox(database, "b")
    insert(database, first, [make(), make("ann@example.com")])
    rows = insert(database, second, [make("joe@example.com"), make("sue@example.com")])
    assert sorted(row.id for row in rows) == [1002, 1003]
    assert [row.id for row in second.all()] == [1000, 1001, 1002, 1003]
    database.close()


def test_what_another_process_took_over_is_not_given_back(database: Database) -> None:
    late, other = Outbox(database, "late", lease=0.0), Outbox(database, "other")
    (row,) = insert(database, late, [make()])
    assert len(other.claim(10)) == 1
    late.defer(row, time.time())
    late.release([row.id])
    assert late.claim(10) == []


@pytest.mark.parametrize("count", [1, 30, 1000])
@pytest.mark.parametrize("name", ["zed", "\U0001f4ec" * 15])
def test_no_message_is_too_much_for_the_database(database: Database, count: int, name: str) -> None:
    recipients = tuple(f"{name}{number}@example.com" for number in range(count))
    row = Outgoing("s" * 500, "<m>", f"{name}@test.com", recipients, b"\0\xff\r\n")
    row.source += "\0\ud83d"
    outbox = Outbox(database, "a")
    insert(database, outbox, [row])
    row.last_error = "550 \0 \ud83d"
    outbox.defer(row, 0.0)
    (claimed,) = outbox.claim(10)
    assert (claimed.recipients, claimed.content) == (recipients, b"\0\xff\r\n")
    assert claimed.last_error == "550 ? ?"


def test_conversations_of_many_are_told_apart() -> None:
    many = [f"user{number}@example.com" for number in range(500)]
    names = {
        Outgoing("", "", "list@test.com", (*many, last), b"").conversation
        for last in ("a@b", "c@d")
    }
    assert len(names) == 2


def test_mail_to_many_is_stored_once_and_forgotten_with_its_last_row(database: Database) -> None:
    outbox = Outbox(database, "a", max_recipients=2)
    row = make()
    row.recipients = tuple(f"{number}@b.example" for number in range(5))
    row.content = b"x" * 1000
    rows = outbox.split([row, make("zed@b.example", 2)])
    assert [one.recipients for one in rows] == [
        ("0@b.example", "1@b.example"),
        ("2@b.example", "3@b.example"),
        ("4@b.example",),
        ("zed@b.example",),
    ]
    assert insert(database, outbox, rows) == rows
    with database.read() as connection:
        stored = connection.exec_driver_sql("SELECT length(content) FROM lamson_outbox").scalars()
        assert sorted(stored) == [0, 0, 0, 3]
    outbox.release([one.id for one in rows])
    claimed = Outbox(database, "b").claim(10)
    assert [one.content for one in claimed] == [row.content] * 3 + [b"x\r\n"]
    assert claimed[0].content is claimed[2].content
    assert outbox.content(rows[1].id) == row.content

    def stored_contents() -> int:
        with database.read() as connection:
            return len(connection.exec_driver_sql("SELECT id FROM lamson_content").all())

    outbox.delete([rows[0].id, rows[1].id])
    outbox.purge()
    assert stored_contents() == 1
    outbox.delete([rows[2].id])
    outbox.purge()
    assert (stored_contents(), outbox.count()) == (0, 1)
    outbox.purge()
