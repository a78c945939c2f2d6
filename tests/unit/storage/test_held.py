"""lamson.storage.held: each promise by itself, and then all of them in any order of events."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lamson.storage.held import Came, Deferral, HeldRows
from lamson.storage.outbox import Outgoing
from lamson.storage.row_states import IllegalStep

if TYPE_CHECKING:
    from collections.abc import Callable


RECIPIENTS = st.sampled_from(["zed@example.com", "ann@example.com"])


def row(id: int, recipient: str = "zed@example.com") -> Outgoing:
    return Outgoing("4Qz", f"<{id}@test>", "l@test.com", (recipient,), b"x\r\n", id=id)


def hold(held: HeldRows, *rows: Outgoing) -> Came:
    return held.hold(rows)


def test_one_row_of_a_conversation_is_under_way_at_a_time() -> None:
    held = HeldRows()
    first, second, other = row(1), row(2), row(3, "ann@example.com")
    assert hold(held, first, second, other) == (2, [])
    assert (held.begin(), held.begin(), held.begin()) == (first, other, None)
    assert held.under_way() == [first, other]
    assert not held.take(other)
    assert held.take(first)
    assert held.begin() is second
    assert not held.take(second)
    assert not held.is_idle
    assert held.take_forgotten() == [3, 1, 2]
    assert not held.has_forgotten
    held.deleted([3, 1, 2], is_committed=True)
    assert held.is_idle
    assert held.known() == set()


def test_what_is_held_already_is_not_taken_twice() -> None:
    held = HeldRows()
    assert hold(held, row(1)) == (1, [])
    assert hold(held, row(1)) == (0, [])
    first = held.begin()
    assert hold(held, row(1)) == (0, [])
    assert first is not None
    held.take(first)
    assert hold(held, row(1)) == (0, [])
    held.deleted(held.take_forgotten(), is_committed=False)
    assert hold(held, row(1)) == (0, [])
    assert held.begin() is None


@pytest.mark.parametrize("way", ["defer", "release", "leave"])
def test_those_behind_a_row_that_waits_go_back_and_so_does_what_comes_after(way: str) -> None:
    now = 0.0
    held = HeldRows(clock=lambda: now)
    hold(held, row(1), row(2), row(3))
    first = held.begin()
    assert first is not None
    ways: dict[str, Callable[[], list[int]]] = {
        "defer": lambda: held.defer(first, 99.0),
        "release": lambda: held.release(first),
        "leave": lambda: held.leave(first),
    }
    assert ways[way]() == ([1, 2, 3] if way == "release" else [2, 3])
    assert held.known() == ({2, 3} if way == "leave" else {1, 2, 3})
    assert hold(held, row(4)) == (0, [4])
    held.end_hold_backs(30.0)
    assert hold(held, row(5)) == (0, [5])
    now = 31.0
    held.end_hold_backs(30.0)
    assert hold(held, row(6)) == (1, [])


def test_a_claim_ends_the_hold_back_as_it_has_all_that_come_before() -> None:
    held = HeldRows()
    hold(held, row(1))
    first = held.begin()
    assert first is not None
    held.returned(held.release(first), is_settled=True)
    assert held.hold_claimed([row(1), row(2)], held.known()) == (1, [])
    assert held.begin() == row(1)


def test_nothing_overtakes_a_row_that_is_being_given_back() -> None:
    """Its lease is over, and the claim had it: the clock has jumped."""
    held = HeldRows()
    hold(held, row(1))
    first = held.begin()
    assert first is not None
    held.defer(first, 99.0)
    assert held.hold_claimed([row(1), row(2)], held.known()) == (0, [2])


def test_a_claim_of_what_was_submitted_meanwhile_is_given_back() -> None:
    held = HeldRows()
    hold(held, row(1))
    before = held.known()
    first = held.begin()
    assert first is not None
    held.take(first)
    held.deleted(held.take_forgotten(), is_committed=True)
    assert held.hold_claimed([row(1), row(2, "ann@example.com")], before) == (0, [1, 2])
    assert held.begin() is None


def test_what_was_not_written_is_written_later_each_as_it_was_to_be() -> None:
    held = HeldRows()
    hold(held, row(1), row(2))
    first = held.begin()
    assert first is not None
    behind = held.defer(first, 99.0)
    assert not held.is_behind
    held.returned(behind, is_settled=False)
    held.returned([1], is_settled=False)
    assert held.is_behind
    assert held.take_unwritten() == Deferral(first, 99.0)
    assert held.take_unwritten() == [2]
    assert held.take_unwritten() == []
    held.returned([1], is_settled=False)
    assert held.take_unwritten() == Deferral(first, 99.0)
    held.returned([1], is_settled=True)
    held.returned([2], is_settled=True)
    assert (held.is_behind, held.known()) == (False, set())


def test_what_is_in_doubt_is_released_once() -> None:
    held = HeldRows()
    hold(held, row(1))
    held.doubt([1, 2, 3])
    assert sorted(held.take_doubtful()) == [2, 3]
    assert held.take_doubtful() == []
    held.returned([2, 3], is_settled=True)
    assert held.known() == {1}


def test_at_the_end_all_that_was_not_submitted_is_given_back() -> None:
    held = HeldRows()
    hold(held, row(1), row(2), row(3, "ann@example.com"), row(4, "joe@example.com"))
    for _ in range(3):
        held.begin()
    held.take(row(3, "ann@example.com"))
    held.defer(row(4, "joe@example.com"), 99.0)  # and who wrote that was cut off
    held.doubt([5])
    assert sorted(held.give_back_all()) == [1, 2, 5]
    assert held.take_unwritten() == Deferral(row(4, "joe@example.com"), 99.0)
    assert held.take_forgotten() == [3]
    assert held.begin() is None


def test_full_and_idle() -> None:
    held = HeldRows(limit=2)
    assert held.is_idle
    hold(held, row(1))
    assert (held.is_idle, held.is_full) == (False, False)
    hold(held, row(2))
    assert held.is_full
    held.begin()
    assert held.is_full
    held.take(row(1))
    assert (held.is_idle, held.is_full) == (False, False)


def test_a_row_that_is_not_under_way_cannot_be_done_with() -> None:
    held = HeldRows()
    hold(held, row(1), row(2))
    for wrong in (held.take, held.leave):
        with pytest.raises(IllegalStep):
            wrong(row(1))
    held.begin()
    with pytest.raises(IllegalStep):
        held.take(row(2))


class Service(RuleBasedStateMachine):
    """A process and its database, in any order of events; every change of the database may fail.

    ``table`` has the rows of the database, and whether each is leased to us. What the process is
    about to write, or to hear, waits in lists, as other things happen in between.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = HeldRows(limit=5, clock=lambda: 0.0)
        self.table: dict[int, bool] = {}
        self.conversation: dict[int, str] = {}
        self.left: set[int] = set()  # submitted or not, nobody knows: their lease runs out
        self.doubted: set[int] = set()
        self.sent: list[int] = []
        self.returning: list[list[int]] = []
        self.deleting: list[list[int]] = []
        self.claimed: tuple[list[int], set[int]] | None = None

    def make(self, recipient: str, *, is_leased: bool) -> Outgoing:
        made = row(2 * len(self.conversation) + 1, recipient)
        self.table[made.id] = is_leased
        self.conversation[made.id] = made.conversation
        return made

    def give_back(self, ids: list[int]) -> None:
        if ids:
            self.returning.append(ids)

    def doubt(self, ids: list[int]) -> None:
        self.held.doubt(ids)
        doubtful = self.held.take_doubtful()
        self.doubted.update(doubtful)
        self.give_back(doubtful)

    @rule(recipients=st.lists(RECIPIENTS, min_size=1, max_size=3))
    def commit(self, recipients: list[str]) -> None:
        """The outbox leases a row to us only where those before it are on their way from us."""
        rows: list[Outgoing] = []
        for recipient in recipients:
            name = row(0, recipient).conversation
            before = [id for id in self.table if self.conversation[id] == name]
            known = self.held.known() | self.left | {made.id for made in rows}
            known -= self.doubted
            is_ours = all(self.table[id] and id in known for id in before)
            made = self.make(recipient, is_leased=is_ours and not self.held.is_full)
            if self.table[made.id]:
                rows.append(made)
        self.give_back(self.held.hold(rows).late)

    @precondition(lambda self: not self.table)
    @rule(recipient=RECIPIENTS)
    def commit_without_an_answer(self, recipient: str) -> None:
        made = self.make(recipient, is_leased=True)
        self.doubt([made.id, made.id + 1])  # the second was rolled back

    @rule()
    def submit(self) -> None:
        if (begun := self.held.begin()) is not None:
            self.sent.append(begun.id)

    def under_way(self, number: int) -> Outgoing:
        rows = self.held.under_way()
        return rows[number % len(rows)]

    @precondition(lambda self: self.held.under_way())
    @rule(number=st.integers(0, 1))
    def take(self, number: int) -> None:
        self.held.take(self.under_way(number))

    @precondition(lambda self: self.held.under_way())
    @rule(number=st.integers(0, 1), way=st.sampled_from(["defer", "release", "leave"]))
    def do_not_take(self, number: int, way: str) -> None:
        tried = self.under_way(number)
        self.sent.remove(tried.id)
        if way == "release":
            self.give_back(self.held.release(tried))
        elif way == "leave":
            self.left.add(tried.id)
            self.give_back(self.held.leave(tried))
        else:
            behind = self.held.defer(tried, 99.0)
            self.give_back([tried.id])
            self.give_back(behind)

    @precondition(lambda self: self.returning)
    @rule(is_well=st.booleans())
    def end_to_give_back(self, is_well: bool) -> None:
        ids = self.returning.pop(0)
        if is_well:
            self.table |= {id: False for id in ids if id in self.table}
            self.doubted.difference_update(ids)
        self.held.returned(ids, is_settled=is_well)

    @precondition(lambda self: self.held.has_forgotten)
    @rule()
    def begin_to_delete(self) -> None:
        self.deleting.append(self.held.take_forgotten())

    @precondition(lambda self: self.deleting)
    @rule(is_well=st.booleans())
    def end_to_delete(self, is_well: bool) -> None:
        ids = self.deleting.pop()
        for id in ids if is_well else ():
            del self.table[id]
        self.held.deleted(ids, is_committed=is_well)

    @precondition(lambda self: self.held.is_behind)
    @rule()
    def catch_up(self) -> None:
        while change := self.held.take_unwritten():
            self.give_back([change.row.id] if isinstance(change, Deferral) else change)
        self.deleting.append(self.held.take_forgotten())

    @precondition(lambda self: not self.held.is_behind and self.claimed is None)
    @rule(are_leases_over=st.booleans())
    def claim(self, are_leases_over: bool) -> None:
        """Whole conversations, from their first row on, as far as they are free."""
        found: list[int] = []
        blocked: set[str] = set()
        for id in sorted(self.table):
            if self.table[id] and not are_leases_over:
                blocked.add(self.conversation[id])
            elif self.conversation[id] not in blocked:
                found.append(id)
        self.claimed = found, self.held.known()
        self.table |= dict.fromkeys(found, True)

    @precondition(lambda self: self.claimed is not None)
    @rule(is_well=st.booleans())
    def end_to_claim(self, is_well: bool) -> None:
        assert self.claimed is not None
        found, before = self.claimed
        self.claimed = None
        if is_well:
            rows = [
                Outgoing("4Qz", f"<{id}@test>", "l@test.com", (), b"x\r\n", id=id,
                         conversation=self.conversation[id])
                for id in found
            ]  # fmt: skip
            self.give_back(self.held.hold_claimed(rows, before).late)
        else:
            self.doubt(found)
        self.left -= self.held.known()

    @invariant()
    def no_row_is_lost(self) -> None:
        """What is leased to us is known to be: else it would wait for the end of its lease."""
        leased = {id for id, is_leased in self.table.items() if is_leased}
        coming = self.claimed[0] if self.claimed is not None else []
        assert leased - self.left - set(coming) <= self.held.known()

    @invariant()
    def no_row_leaves_twice(self) -> None:
        assert len(self.sent) == len(set(self.sent))

    @invariant()
    def each_conversation_leaves_in_order(self) -> None:
        for name in set(self.conversation.values()):
            sent = [id for id in self.sent if self.conversation[id] == name]
            assert sent == sorted(sent)

    @invariant()
    def only_what_was_sent_is_deleted(self) -> None:
        assert self.conversation.keys() - self.table.keys() <= set(self.sent)

    def teardown(self) -> None:
        """Once the database and the server work, everything leaves."""
        for _ in range(5):
            if self.claimed is not None:
                self.end_to_claim(True)
            while self.returning or self.held.is_behind:
                self.catch_up()
                while self.returning:
                    self.end_to_give_back(True)
            self.begin_to_delete()
            while self.deleting:
                self.end_to_delete(True)
            self.claim(True)
            self.end_to_claim(True)
            self.submit()
            while rows := self.held.under_way():
                self.held.take(rows[0])
                self.submit()
            self.no_row_leaves_twice()
            self.each_conversation_leaves_in_order()
        assert (self.table, self.held.known()) == ({}, set())


TestService = Service.TestCase
TestService.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
