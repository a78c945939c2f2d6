"""lamson.relay.relay: what becomes of a row, with a double for the connection to Postfix."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from lamson.relay.submission import Refusal, SubmitterDown
from lamson.storage import tasks
from lamson.storage.held import Came
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from lamson.storage.tasks import Task
from tests.unit.relay.rig import GatedOutbox, Rig, row, until


def test_a_row_is_deleted_after_it_was_taken(rig: Rig) -> None:
    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(row()))
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]


def test_what_another_process_left_is_swept_at_the_start(rig: Rig) -> None:
    rig.outbox.release([one.id for one in rig.commit(row())])

    async def story() -> None:
        async with rig.relay():
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]


def test_a_temporary_refusal_keeps_the_row(rig: Rig) -> None:
    rig.server.answer = lambda row: [Refusal(row.recipients[0], "451 4.2.1 busy", False)]

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(row()))
            await until(lambda: len(rig.server.taken) == 1)

    asyncio.run(story())
    assert rig.outbox.count() == 1
    assert rig.undeliverable.count() == 0


def test_a_permanent_refusal_keeps_the_message_with_the_reason(rig: Rig) -> None:
    rig.server.answer = lambda row: [Refusal(row.recipients[0], "550 5.1.1 nobody", True)]

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(row()))
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    content = rig.undeliverable.get(rig.undeliverable.keys()[0])
    assert content is not None
    assert b"X-Lamson-Reason: refused by the submission server: 550 5.1.1" in content


def test_what_a_full_undeliverable_queue_does_not_take_stays_in_the_outbox(rig: Rig) -> None:
    rig.server.answer = lambda row: [Refusal(row.recipients[0], "550 5.1.1 nobody", True)]
    rig.undeliverable = Maildir(rig.undeliverable.path, quota=1)

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(row()))
            await until(lambda: rig.outbox.all()[0].attempts == 1)

    asyncio.run(story())
    (left,) = rig.outbox.all()
    assert (left.last_error, rig.undeliverable.count()) == ("550 5.1.1 nobody", 0)
    assert rig.outbox.content(left.id) == b"x\r\n"


def test_each_recipient_has_a_fate_of_its_own(rig: Rig) -> None:
    rig.server.answer = lambda row: [
        Refusal("no@example.com", "550 5.1.1 nobody", True),
        Refusal("later@example.com", "451 4.2.1 busy", False),
    ]

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(
                rig.commit(row(1, "yes@example.com", "no@example.com", "later@example.com"))
            )
            await until(lambda: len(rig.server.taken) == 1)

    asyncio.run(story())
    assert rig.undeliverable.count() == 1
    claimed = Outbox(rig.database, "other")
    with rig.database.begin() as connection:
        connection.exec_driver_sql("UPDATE lamson_outbox SET due_at = 0")
    (left,) = claimed.claim(10)
    assert left.recipients == ("later@example.com",)


def test_too_old_is_given_up(rig: Rig) -> None:
    def down(row: Outgoing) -> list[Refusal]:
        raise SubmitterDown("submission to mx:587: connection refused")

    rig.server.answer = down

    async def story() -> None:
        async with rig.relay(max_age=0.0) as relay:
            relay.submit(rig.commit(row()))
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    content = rig.undeliverable.get(rig.undeliverable.keys()[0])
    assert content is not None
    assert b"X-Lamson-Reason: given up after 1 attempts: submission to" in content


def test_a_conversation_leaves_in_order_and_others_beside_it(rig: Rig) -> None:
    async def story() -> None:
        rig.server.gate = asyncio.Event()
        async with rig.relay() as relay:
            rows = [row(1), row(2), row(3), row(4, "ann@example.com")]
            relay.submit(rig.commit(*rows))
            await until(lambda: rig.server.under_way == 2)
            rig.server.gate.set()
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    assert [one for one in rig.server.taken if one != "<4@test>"] == [
        "<1@test>", "<2@test>", "<3@test>",
    ]  # fmt: skip
    assert rig.server.most_under_way == 2


def test_those_behind_a_deferred_row_wait_in_the_table(rig: Rig) -> None:
    def busy(row: Outgoing) -> list[Refusal]:
        return [Refusal(row.recipients[0], "451 busy", False)]

    rig.server.answer = busy

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(row(1), row(2)))
            await until(lambda: len(rig.server.taken) == 1)

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]
    assert rig.outbox.count() == 2
    assert Outbox(rig.database, "other").claim(10) == []


def test_a_row_committed_just_after_is_given_back_too(rig: Rig) -> None:
    rig.server.answer = lambda row: [Refusal(row.recipients[0], "451 busy", False)]

    async def story() -> None:
        async with rig.relay() as relay:
            rows = rig.commit(row(1), row(2))
            relay.submit(rows[:1])
            await until(lambda: rig.outbox.held._held_back != {})
            relay.submit(rows[1:])

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]
    assert Outbox(rig.database, "other").claim(10) == []


def test_a_row_whose_commit_was_not_answered_is_found_by_the_sweep(rig: Rig) -> None:
    async def story() -> None:
        async with rig.relay() as relay:
            (doubtful,) = rig.commit(row())
            rolled_back = row(2)
            rolled_back.id = doubtful.id + 1
            relay.give_back([doubtful, rolled_back])
            async with asyncio.timeout(10):
                while not rig.server.taken:
                    await relay.sweep()
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]


def test_a_row_whose_claim_was_not_answered_is_found_by_the_next_sweep(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is leased to us, and nobody would have it until that lease runs out."""
    rig.outbox.release([one.id for one in rig.commit(row())])
    really_begin = rig.database.begin

    @contextmanager
    def begin() -> Iterator[Connection]:
        with really_begin() as connection:
            yield connection
        raise OperationalError("COMMIT", {}, Exception("server closed the connection"))

    async def story() -> None:
        relay = rig.make_relay()
        with monkeypatch.context() as patch:
            patch.setattr(rig.database, "begin", begin)
            await relay.sweep()
        assert rig.outbox.owners() == ["test"]
        await relay.start()
        await until(lambda: rig.outbox.count() == 0)
        await relay.drain(5.0)

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]


def test_a_row_that_is_claimed_before_its_release_is_told_is_not_left_to_its_lease(
    rig: Rig,
) -> None:
    rig.outbox = slow = GatedOutbox(rig.database, "test")
    slow.before.set()

    async def story() -> None:
        async with rig.relay() as relay:
            relay.give_back(rig.commit(row()))
            await until(lambda: slow.made == 1)
            await relay.sweep()
            slow.after.set()
            async with asyncio.timeout(10):
                while not rig.server.taken:
                    await relay.sweep()

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]


def test_nothing_overtakes_a_row_whose_deferral_an_outage_keeps_from_being_written(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that lasts."""
    monkeypatch.setattr("lamson.relay.relay.HOLD_BACK", 0.0)
    monkeypatch.setattr("lamson.relay.relay.SWEEP_INTERVAL", 0.01)
    monkeypatch.setattr("lamson.relay.attempt.FIRST_DELAY", 0.05)
    rig.outbox = broken = BrokenOutbox(rig.database, "test")
    answers = iter([[Refusal("zed@example.com", "451 4.2.1 busy", False)]])
    rig.server.answer = lambda row: next(answers, [])

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(row(1)))
            await until(lambda: len(broken.failed) > 5)
            (second,) = rig.commit(row(2))
            relay.submit([second])
            await asyncio.sleep(0.05)
            assert rig.server.taken == ["<1@test>"]  # asked about it, and put off
            broken.is_broken = False
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>", "<1@test>", "<2@test>"]


def test_rows_that_a_failed_transaction_had_taken_along_are_deleted_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamson.relay.relay.SWEEP_INTERVAL", 0.05)

    async def story() -> None:
        async with rig.relay() as relay:
            (first,) = rig.commit(row(1))
            rig.outbox.held.hold([first])
            rig.outbox.held.begin()
            rig.outbox.held.take(first)
            rig.outbox.held.deleted(rig.outbox.held.begin_deletion(), is_committed=False)
            await until(lambda: rig.outbox.count() == 0)
            await until(relay._is_idle.is_set)

    asyncio.run(story())


def test_a_slow_server_is_not_given_a_message_twice(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamson.relay.relay.SWEEP_INTERVAL", 0.05)
    monkeypatch.setattr("lamson.relay.attempt.LEASE_MARGIN", 1.0)
    rig.outbox = Outbox(rig.database, "test", lease=2.0)
    other = Outbox(rig.database, "other")

    async def story() -> None:
        rig.server.gate = asyncio.Event()
        async with rig.relay() as relay:
            relay.submit(rig.commit(row()))
            for _ in range(24):
                await asyncio.sleep(0.1)
                assert await asyncio.to_thread(other.claim, 10) == []
            rig.server.gate.set()
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]


def test_what_was_leased_while_the_clock_was_ahead_is_leased_anew(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what waits behind another: others give such a lease back after a while."""
    ahead = time.time() + 40 * 24 * 3600

    async def story() -> None:
        rig.server.gate = asyncio.Event()
        with monkeypatch.context() as patch:
            patch.setattr("lamson.storage.outbox.time.time", lambda: ahead)
            rows = rig.commit(row(1), row(2))
        assert Outbox(rig.database, "other").far_leases()
        async with rig.relay() as relay:
            relay.submit(rows)
            await until(lambda: rig.server.under_way == 1)
            await relay._renew()
            assert not Outbox(rig.database, "other").far_leases()
            rig.server.gate.set()
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3])
def test_a_clock_that_is_set_ahead_has_nothing_leave_twice(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, delay: float
) -> None:
    """Whichever of two processes looks first: to the other one the lease has run out."""
    monkeypatch.setattr("lamson.relay.relay.SWEEP_INTERVAL", 0.4)
    ahead, clock = [0.0], time.time
    monkeypatch.setattr("time.time", lambda: clock() + ahead[0])
    neighbour = Rig(rig.database, rig.undeliverable.path.parent)
    neighbour.outbox, neighbour.server = Outbox(rig.database, "neighbour"), rig.server

    async def story() -> None:
        rig.server.gate = asyncio.Event()
        async with neighbour.relay():
            await asyncio.sleep(delay)
            async with rig.relay() as relay:
                relay.submit(rig.commit(row()))
                await until(lambda: rig.server.under_way == 1)
                ahead[0] = 600.0
                await asyncio.sleep(2.0)  # five looks of each
                rig.server.gate.set()
                await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]


def test_the_sweep_leaves_alone_what_this_process_has(rig: Rig) -> None:
    """Its lease is over: the clock has jumped, or the database was not to be had for long."""

    async def story() -> None:
        rig.server.gate = asyncio.Event()
        async with rig.relay(connections=1) as relay:
            relay.submit(rig.commit(row(1), row(2)))
            await until(lambda: rig.server.under_way == 1)
            await asyncio.to_thread(rig.outbox.release_owner, "test")
            await relay.sweep()
            rig.server.gate.set()
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>", "<2@test>"]


def test_the_sweep_leaves_alone_what_was_submitted_while_it_asked(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread deletes the row just after it was claimed: then nobody knows it any more."""
    came: list[Outgoing] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        gate = rig.server.gate = asyncio.Event()
        really_claim = rig.outbox.claim
        really_hold = rig.outbox.held.hold_claimed

        async def finish() -> None:
            gate.set()
            await until(lambda: not rig.outbox.count() and not rig.outbox.held.known())

        def claim(limit: int) -> list[Outgoing]:
            rows = really_claim(limit)
            if rows:
                asyncio.run_coroutine_threadsafe(finish(), loop).result()
            return rows

        def hold_claimed(rows: list[Outgoing]) -> Came:
            came.extend(rows)
            return really_hold(rows)

        # Before it starts: a relay has one sweep at a time, and the first may come late.
        monkeypatch.setattr(rig.outbox, "claim", claim)
        monkeypatch.setattr(rig.outbox.held, "hold_claimed", hold_claimed)
        async with rig.relay() as relay:
            relay.submit(rig.commit(row()))
            await until(lambda: rig.server.under_way == 1)
            await asyncio.to_thread(rig.outbox.release_owner, "test")
            relay.wake()
            await until(lambda: bool(came))

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>"]


def test_a_row_whose_lease_has_almost_run_out_is_left_to_the_sweep(rig: Rig) -> None:
    short = Outbox(rig.database, "test", lease=30.0)
    rig.outbox = short

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(row()))

    asyncio.run(story())
    assert rig.server.taken == []
    assert rig.outbox.count() == 1


def test_a_surprise_stops_no_other_mail(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    def surprise(row: Outgoing) -> list[Refusal]:
        if row.message_id == "<1@test>":
            raise RuntimeError("a bug")
        return []

    rig.server.answer = surprise

    async def story() -> None:
        async with rig.relay(connections=1) as relay:
            relay.submit(rig.commit(row(1), row(2, "ann@example.com")))
            await until(lambda: "<2@test>" in rig.server.taken)

    asyncio.run(story())
    assert "a bug" in caplog.text
    assert rig.outbox.count() == 1


@pytest.mark.parametrize("name", ["claim", "delete_now", "defer", "release"])
def test_a_surprise_in_the_outbox_is_got_over(
    rig: Rig, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lamson.relay.relay.SWEEP_INTERVAL", 0.05)
    monkeypatch.setattr("lamson.relay.attempt.FIRST_DELAY", 0.05)
    fails_once(rig.outbox, name, monkeypatch)
    answers = iter([[Refusal("zed@example.com", "451 4.2.1 busy", False)]])
    rig.server.answer = lambda row: next(answers, [])

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(row(1), row(2)))  # the first is deferred, the second let go
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    assert rig.server.taken == ["<1@test>", "<1@test>", "<2@test>"]
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("name", ["_make_submitter", "_delete_taken", "_renew"])
def test_no_task_of_the_relay_ends_by_a_surprise(
    rig: Rig, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lamson.relay.relay.SWEEP_INTERVAL", 0.05)
    monkeypatch.setattr("lamson.relay.relay.PAUSE", 0.01)
    rig.outbox.release([one.id for one in rig.commit(row(1))])  # for the sweep

    async def story() -> None:
        relay = rig.make_relay(connections=1)
        fails_once(relay, name, monkeypatch)
        await relay.start()
        await until(lambda: "a bug" in caplog.text)
        relay.submit(rig.commit(row(2, "ann@example.com")))
        await until(lambda: rig.outbox.count() == 0)
        await relay.drain(5.0)

    asyncio.run(story())
    assert sorted(rig.server.taken) == ["<1@test>", "<2@test>"]


def fails_once(owner: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first call of a method raise what nobody expects."""
    really = getattr(owner, name)
    failed: list[str] = []

    def fail(*arguments: Any) -> Any:
        if failed:
            return really(*arguments)
        failed.append(name)
        raise RuntimeError("a bug")

    monkeypatch.setattr(owner, name, fail)


def test_what_the_database_did_not_take_is_written_when_it_is_back(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Submitted, but not deleted: nothing may leave twice, nothing may be forgotten."""
    rig.outbox = broken = BrokenOutbox(rig.database, "test", lease=300.0)
    rig.server.answer = lambda row: (
        [Refusal("later@example.com", "451 later", False)] if len(row.recipients) > 1 else []
    )

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(row(1), row(2, "yes@example.com", "later@example.com")))
            await until(lambda: len(broken.failed) == 2)
            assert rig.outbox.count() == 2
            broken.is_broken = False
            await relay.sweep()

    asyncio.run(story())
    assert sorted(rig.server.taken) == ["<1@test>", "<2@test>"]
    assert sorted(broken.failed) == ["defer", "delete"]
    (left,) = rig.outbox.all()
    assert (left.recipients, left.lease_until) == (("later@example.com",), 0)
    assert "outbox: the database failed: it is down" in caplog.text


class BrokenOutbox(Outbox):
    """The outbox of a database that answers questions and takes no changes."""

    is_broken = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.failed: list[str] = []

    def _break(self, name: str) -> None:
        if self.is_broken:
            self.failed.append(name)
            raise OperationalError("", None, Exception("it is down"))

    def delete_now(self) -> None:
        if self.held.has_deletions:
            self._break("delete")
        super().delete_now()

    def defer(self, row: Outgoing, due_at: float) -> None:
        self._break("defer")
        super().defer(row, due_at)


def test_when_a_refusal_cannot_be_kept_only_the_refused_are_tried_again(rig: Rig) -> None:
    rig.server.answer = lambda row: [Refusal("no@example.com", "550 5.1.1 nobody", True)]
    rig.undeliverable.path.rename(rig.undeliverable.path.with_name("gone"))

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(row(1, "yes@example.com", "no@example.com")))
            await until(lambda: rig.outbox.all()[0].attempts == 1)

    asyncio.run(story())
    (left,) = rig.outbox.all()
    assert left.recipients == ("no@example.com",)


def test_of_tracked_mail_a_refusal_is_told_with_the_deletion(rig: Rig) -> None:
    """One recipient is refused for good, one for now; then that one is given up, as too old."""
    answers = {"a@b.example": "550 5.1.1 nobody", "c@d.example": "451 4.2.1 busy"}
    rig.server.answer = lambda row: [
        Refusal(one, answers[one], answers[one].startswith("5")) for one in row.recipients
    ]
    tracked = replace(row(1, *answers), envid="abc")
    untracked = row(2, "a@b.example")

    def told() -> list[Task]:
        with rig.database.read() as connection:
            return tasks.waiting(connection)

    async def story() -> None:
        async with rig.relay() as relay:
            relay.submit(rig.commit(tracked, untracked))
            await until(lambda: len(told()) == 1)
            await until(lambda: rig.outbox.count() == 1)
        rig.outbox.retry(None)
        async with rig.relay(max_age=0.0):
            await until(lambda: rig.outbox.count() == 0)

    asyncio.run(story())
    assert [(task.kind, task.payload) for task in told()] == [
        ("outcome", {"id": "abc", "recipients": ["a@b.example"], "kind": "refused",
                     "diagnostic": "550 5.1.1 nobody", "is_permanent": True}),
        ("outcome", {"id": "abc", "recipients": ["c@d.example"], "kind": "refused",
                     "diagnostic": "451 4.2.1 busy", "is_permanent": False}),
    ]  # fmt: skip
    assert rig.undeliverable.count() == 3, "a person can still see each of them"
