"""lamson.storage.held: all its promises, in any order of events."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lamson.storage.held import Deferral, HeldRows
from lamson.storage.outgoing import Outgoing
from lamson.storage.room import Budget
from tests.unit.storage.test_held import row

RECIPIENTS = st.sampled_from(["zed@example.com", "ann@example.com"])


class Service(RuleBasedStateMachine):
    """A process and its database, in any order of events; every change of the database may fail.

    ``table`` has the rows of the database, and whether each is leased to us. What the process is
    about to write, or to hear, waits in lists, as other things happen in between: a change is made
    at one time and told at another.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.held = HeldRows(limit=5, budget=Budget(12), clock=lambda: self.now)
        self.table: dict[int, bool] = {}
        self.conversation: dict[int, str] = {}
        self.rolled_back: set[int] = set()
        self.left: set[int] = set()  # submitted or not, nobody knows: their lease runs out
        self.sent: list[int] = []
        self.committed: list[list[Outgoing]] = []
        self.stale: set[int] = set()  # claimed anew before the process heard of their commit
        self.over: set[int] = set()  # heard of with a lease that is over: not tried, given back
        self.returning: list[list[int]] = []
        self.written: list[tuple[list[int], bool]] = []
        self.deleting: list[list[int]] = []
        self.is_looking = False
        self.claimed: list[int] | None = None

    def make(self, recipient: str, *, is_leased: bool) -> Outgoing:
        made = row(2 * len(self.conversation) + 1, recipient)
        self.table[made.id] = is_leased
        self.conversation[made.id] = made.conversation
        return made

    def give_back(self, ids: list[int]) -> None:
        if ids:
            self.returning.append(ids)

    def rows(self, ids: list[int]) -> list[Outgoing]:
        return [
            Outgoing("4Qz", f"<{id}@test>", "l@test.com", (), b"x\r\n", id=id,
                     conversation=self.conversation[id])
            for id in ids
        ]  # fmt: skip

    def known(self) -> set[int]:
        """What was leased to us, as far as the process has heard of it or is about to."""
        return self.held.known() | self.left | {made.id for made in self.unheard()}

    def unheard(self) -> list[Outgoing]:
        return [made for batch in self.committed for made in batch]

    @rule(recipients=st.lists(RECIPIENTS, min_size=1, max_size=3))
    def commit(self, recipients: list[str]) -> None:
        batch = []
        for recipient in recipients:
            name = row(0, recipient).conversation
            made = self.make(recipient, is_leased=self.is_ours(name) and not self.held.is_full)
            if self.table[made.id]:
                batch.append(made)
        if batch:
            self.committed.append(batch)

    @precondition(lambda self: self.claimed)
    @rule()
    def commit_behind_a_claim(self) -> None:
        """Twice, by two threads: one may be heard of much later than the other."""
        assert self.claimed
        recipient = self.conversation[self.claimed[0]].split()[1]
        self.commit([recipient])
        self.commit([recipient])

    def is_ours(self, conversation: str) -> bool:
        """The outbox leases a row to us only where those before it are on their way from us."""
        before = [id for id in self.table if self.conversation[id] == conversation]
        known = self.known().union(self.claimed or ())
        return all(self.table[id] and id in known for id in before)

    @precondition(lambda self: self.committed)
    @rule()
    def hear_of_a_commit(self) -> None:
        batch = self.committed.pop(0)
        self.over |= self.stale & {made.id for made in batch}
        self.give_back(self.held.hold(batch).late)

    @rule(recipient=RECIPIENTS, is_there=st.booleans())
    def commit_without_an_answer(self, recipient: str, is_there: bool) -> None:
        """Nobody knows whether it was rolled back. The process hears of it before any later row."""
        while self.committed:
            self.hear_of_a_commit()
        name = row(0, recipient).conversation
        made = self.make(recipient, is_leased=self.is_ours(name))
        if not is_there:
            del self.table[made.id]
            self.rolled_back.add(made.id)
        if not is_there or self.table[made.id]:
            self.held.doubt([made])

    @rule()
    def release_what_is_in_doubt(self) -> None:
        self.give_back(self.held.begin_release())

    @rule()
    def end_hold_backs(self) -> None:
        self.held.end_hold_backs(30.0)

    @precondition(lambda self: not self.committed and not self.left)
    @rule()
    def wait(self) -> None:
        """So long that hold-backs end. What was committed is heard of before that."""
        self.now += 60.0

    @rule()
    def submit(self) -> None:
        while (begun := self.held.begin()) is not None:
            if begun.id not in self.over:
                self.sent.append(begun.id)
                break
            self.over.remove(begun.id)  # it is not tried: see Attempts.make
            self.stale.discard(begun.id)
            self.give_back(self.held.release(begun))

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
    @rule(is_well=st.booleans(), is_there=st.booleans())
    def write_what_is_given_back(self, is_well: bool, is_there: bool) -> None:
        """Where that is not well, it may be there all the same."""
        ids = self.returning.pop(0)
        if is_well or is_there:
            self.table |= {id: False for id in ids if id in self.table}
        self.written.append((ids, is_well))

    @precondition(lambda self: self.written)
    @rule()
    def tell_what_is_written(self) -> None:
        ids, is_well = self.written.pop(0)
        self.held.returned(ids, is_settled=is_well)

    @precondition(lambda self: self.held.has_deletions)
    @rule()
    def begin_to_delete(self) -> None:
        self.deleting.append(self.held.begin_deletion())

    @precondition(lambda self: self.deleting)
    @rule(is_well=st.booleans(), is_there=st.booleans())
    def end_to_delete(self, is_well: bool, is_there: bool) -> None:
        """Where that is not well, it may be there all the same; then the next one finds nothing."""
        ids = self.deleting.pop()
        for id in ids if is_well or is_there else ():
            self.table.pop(id, None)
        self.held.deleted(ids, is_committed=is_well)

    @precondition(lambda self: self.held.is_behind)
    @rule()
    def catch_up(self) -> None:
        while change := self.held.begin_again():
            self.give_back([change.row.id] if isinstance(change, Deferral) else change)
        self.deleting.append(self.held.begin_deletion())

    @precondition(lambda self: not (self.is_looking or self.held.is_behind))
    @rule()
    def begin_to_claim(self) -> None:
        """The database may let it wait for long."""
        self.is_looking = True
        self.held.begin_look()

    @precondition(lambda self: self.is_looking and self.claimed is None)
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
        self.claimed = found
        self.stale |= {made.id for made in self.unheard()}.intersection(found)
        self.held.begin_claim(self.rows(found), 3 * len(found))
        self.table |= dict.fromkeys(found, True)

    @precondition(lambda self: self.claimed is not None)
    @rule(is_well=st.booleans())
    def end_to_claim(self, is_well: bool) -> None:
        assert self.claimed is not None
        found, self.claimed, self.is_looking = self.claimed, None, False
        if is_well:
            self.give_back(self.held.hold_claimed(self.rows(found)).late)
        else:
            self.held.end_claim()
            self.held.doubt(self.rows(found))
        self.left -= self.held.known()

    @invariant()
    def no_row_is_lost(self) -> None:
        """What is leased to us is known to be: else it would wait for the end of its lease."""
        leased = {id for id, is_leased in self.table.items() if is_leased}
        assert leased - set(self.claimed or ()) <= self.known()

    @invariant()
    def no_row_is_submitted_without_a_lease(self) -> None:
        """Else another process may submit it too."""
        waiting = [row.id for row in self.held.waiting()]
        assert all(self.table.get(id) or id in self.over for id in waiting)

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
        assert self.conversation.keys() - self.table.keys() <= {*self.sent, *self.rolled_back}

    def end_a_claim(self) -> None:
        if self.claimed is None:
            self.claim(True)
        self.end_to_claim(True)

    def teardown(self) -> None:
        """Once the database and the server work, everything leaves: some row in each round.

        A round may leave behind what was claimed anew, put off or given back in it.
        """
        for _ in range(5 + len(self.table)):
            while self.committed:
                self.hear_of_a_commit()
            if self.is_looking:
                self.end_a_claim()
            self.release_what_is_in_doubt()
            while self.returning or self.written or self.held.is_behind:
                self.catch_up()
                while self.returning:
                    self.write_what_is_given_back(True, True)
                while self.written:
                    self.tell_what_is_written()
            self.begin_to_delete()
            while self.deleting:
                self.end_to_delete(True, True)
            self.begin_to_claim()
            self.end_a_claim()
            self.submit()
            while rows := self.held.under_way():
                self.held.take(rows[0])
                self.submit()
            self.no_row_leaves_twice()
            self.each_conversation_leaves_in_order()
        assert (self.table, self.held.known()) == ({}, set())


TestService = Service.TestCase
TestService.settings = settings(stateful_step_count=30)
