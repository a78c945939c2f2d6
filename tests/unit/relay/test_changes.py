"""lamson.relay.changes: what is written at last, and what is not tried for ever."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from lamson.relay.changes import Changes
from lamson.storage.held import HeldRows
from lamson.storage.outgoing import Outgoing

OUTAGE = OperationalError("", None, Exception("it is down"))
REFUSED = ProgrammingError("", None, Exception("no such column"))
BUG = RuntimeError("a bug")


class Table:
    """A double of the outbox: each call fails as ``failures`` has it, then works."""

    def __init__(self, *failures: Exception) -> None:
        self.held = HeldRows()
        self.failures = list(failures)
        self.calls: list[tuple[Any, ...]] = []

    def _call(self, *call: Any) -> None:
        self.calls.append(call)
        if self.failures:
            raise self.failures.pop(0)

    def defer(self, row: Outgoing, due_at: float) -> None:
        self._call("defer", row.id, due_at)

    def release(self, ids: Collection[int]) -> None:
        self._call("release", *ids)

    def delete_now(self) -> None:
        ids = self.held.begin_deletion()
        is_committed = False
        try:
            self._call("delete", *ids)
            is_committed = True
        finally:
            self.held.deleted(ids, is_committed=is_committed)


def begun(table: Table) -> Outgoing:
    """A row that is under way; another one is behind it."""
    table.held.hold(
        [Outgoing("4Qz", "", "l@test.com", ("a@b.example",), b"", id=n) for n in (1, 2)]
    )
    first = table.held.begin()
    assert first is not None
    return first


def changes(table: Any) -> Changes:
    return Changes(table)


def give_back(table: Table, check: Callable[[Changes], Any]) -> None:
    async def story() -> None:
        made = changes(table)
        first = begun(table)
        behind = table.held.defer(first, 99.0)
        await made.defer(first, 99.0)
        await made.release(behind)
        await check(made)

    asyncio.run(story())


def test_what_an_outage_kept_from_being_written_is_written_in_the_end() -> None:
    table = Table(OUTAGE, OUTAGE, OUTAGE)

    async def check(made: Changes) -> None:
        assert table.held.known() == {1, 2}
        assert not await made.catch_up()  # at the first change that fails, all others wait
        assert await made.catch_up()

    give_back(table, check)
    defer, release = ("defer", 1, 99.0), ("release", 2)
    assert table.calls == [defer, release, defer, defer, release]
    assert table.held.known() == set()


@pytest.mark.parametrize(("failure", "calls"), [(REFUSED, 1), (BUG, 2)])
def test_what_fails_for_another_reason_does_not_keep_others_waiting(
    failure: Exception, calls: int
) -> None:
    """Its row is left to the end of its lease."""
    table = Table(failure)

    async def check(made: Changes) -> None:
        table.failures = [failure]
        assert await made.catch_up()

    give_back(table, check)
    assert table.calls.count(("defer", 1, 99.0)) == calls
    assert table.held.known() == set()


def test_a_deletion_that_failed_comes_before_anything_else() -> None:
    table = Table(OUTAGE, OUTAGE)

    async def story() -> None:
        made = changes(table)
        await made.delete()
        assert table.calls == []
        table.held.take(begun(table))
        assert await made.catch_up()  # nothing has failed yet: it may ride with a delivery
        await made.delete()
        assert not await made.catch_up()
        assert await made.catch_up()

    asyncio.run(story())
    assert table.calls == [("delete", 1)] * 3
    assert table.held.known() == {2}
