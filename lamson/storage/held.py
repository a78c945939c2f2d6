"""The rows of the outbox that this process holds: the one place that knows them all.

For `Outbox`, which leases rows and deletes them; for the relay, which submits them; and for the
transaction of a delivery, which takes deletions along. No I/O happens here: who asks for a change
makes it in the database and says how it ended. So no row is submitted by two, none is claimed again
while a change of it is on its way, and none is forgotten because the database failed.

Each row is in one state (`lamson.storage.row_states`); rows of one conversation keep their order.
The content of rows that are to be submitted is held within a budget of octets: what finds no room
waits in the database. What is not said to be for any thread is for one: the relay's loop.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lamson.storage.room import Budget
from lamson.storage.row_states import RowStates, State, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from lamson.storage.outgoing import Outgoing

ENOUGH = 2000  # rows in memory; what is committed beyond them waits in the database

_WAITING = (State.WAITING, State.UNDER_WAY)
_TO_DELETE = (State.TAKEN, State.UNDELETED)
# What every row meets: to look up a member of an Enum is slow in Python 3.11.
_ABSENT, _UNDER_WAY, _DELETING = State.ABSENT, State.UNDER_WAY, State.DELETING
_HOLD, _BEGIN, _TAKE = Step.HOLD, Step.BEGIN, Step.TAKE
_WRITE, _SETTLE, _FAIL = Step.WRITE, Step.SETTLE, Step.FAIL


class Deferral(NamedTuple):
    """A row that is given back with what an attempt changed, and when the next one is due."""

    row: Outgoing
    due_at: float


@dataclass(slots=True)
class _Return:
    """A row that is on its way back, or in doubt."""

    conversation: str
    deferral: Deferral | None = None
    is_leased_anew: bool = False  # a claim had it meanwhile: it is to be given back once more


class Came(NamedTuple):
    """What came of taking rows over.

    ``ready`` is how many conversations have a row for `HeldRows.begin` by that; ``late`` are the
    rows that are to be released at once, for which see `HeldRows.returned`.
    """

    ready: int
    late: list[int]


class HeldRows:
    """All rows that one process holds.

    ``limit`` is how many may wait before it `is_full`; their content counts in ``budget``.
    ``clock`` gives seconds, and never goes back.
    """

    def __init__(
        self,
        *,
        limit: int = ENOUGH,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self.budget = Budget() if budget is None else budget
        self._clock = clock
        self._states = RowStates()
        self._returns: dict[int, _Return] = {}  # of rows RETURNING, UNWRITTEN or DOUBTFUL
        self._conversations: dict[str, deque[Outgoing]] = {}  # WAITING, the first may be UNDER_WAY
        self._ready: deque[str] = deque()  # conversations whose first row is WAITING
        self._held_back: dict[str, float] = {}  # conversations given back, and when
        self._coming: frozenset[str] = frozenset()  # conversations of which a claim has rows
        self._met: set[int] | None = None  # all rows that were held since that claim began
        self._turned: set[str] = set()  # conversations that went back since

    @property
    def is_full(self) -> bool:
        """Whether new rows are better left in the database. For any thread."""
        return self.budget.is_spent or self._states.count(*_WAITING) >= self._limit

    @property
    def has_room_again(self) -> bool:
        """Whether to look now for what was left in the database for want of room."""
        return self.budget.has_room_again and self._states.count(*_WAITING) <= self._limit // 2

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be submitted or deleted here."""
        return not self._conversations and not self._states.count(*_TO_DELETE, _DELETING)

    def known(self) -> set[int]:
        """All rows that are held, in whatever state.

        The database may offer them all the same, after a jump of the clock or a long wait for it.
        """
        return self._states.all()

    def hold(self, rows: Sequence[Outgoing]) -> Came:
        """Take over rows that are leased to us, each conversation in order.

        Late are those committed while an earlier one of theirs was given back, or in doubt, or was
        claimed and is on its way here; and those that find no room. What is held already stays as
        it is.
        """
        new = [row for row in rows if self._states.state(row.id) is _ABSENT]
        waiting: Collection[str] = self._held_back
        if self._coming:
            waiting = {*waiting, *self._coming}
        if without := self._without_room(new, waiting):
            waiting = {*waiting, *without}
        return self._take_in(new, waiting)

    def _without_room(self, rows: Sequence[Outgoing], waiting: Collection[str]) -> set[str]:
        """Conversations of which a row finds none: other threads took in some meanwhile."""
        budget = self.budget
        octets = budget.held + budget.coming
        for row in rows:
            octets += len(row.content)
        if octets <= budget.limit:
            return set()
        room, without = budget.room(), set[str]()
        for row in rows:
            if row.conversation in waiting or row.conversation in without:
                continue
            if not room.take(len(row.content)):
                without.add(row.conversation)
                budget.want(len(row.content))
        return without

    def begin_look(self) -> None:
        """A claim is about to look into the database, and may wait for that long.

        It may find rows that are submitted, or given back, before it is here.
        """
        self._met = self.known()
        self._turned.clear()

    def begin_claim(self, rows: Collection[Outgoing], octets: int) -> None:
        """Rows are about to be leased to us: they come to `hold_claimed`, or to `doubt`.

        A row that is committed behind them before that must not overtake them. For any thread.
        """
        self._coming = frozenset(row.conversation for row in rows)
        self.budget.coming = octets

    def end_claim(self) -> None:
        """They have come, or are in doubt."""
        self._coming = frozenset()
        self._met = None
        self._turned.clear()
        self.budget.coming = 0

    def hold_claimed(self, rows: Sequence[Outgoing]) -> Came:
        """Take over rows of a claim, which began with `begin_look`.

        Late are conversations of which one row was submitted since then, or given back, and those
        of which one is on its way back. All that come before the others have come too: new rows
        may follow them, unless one went back since then, and they may stand behind that.
        """
        met, turned = self._met or set(), {*self._turned}
        self.end_claim()
        self._note_lease(rows)
        known = self.known()
        new = [row for row in rows if row.id not in known]
        waiting = {row.conversation for row in new if row.id in met}
        waiting |= {row.conversation for row in rows if row.id in self._returns}
        in_time = {row.conversation for row in new} - waiting
        turned |= {one.conversation for one in self._returns.values()}
        for name in in_time - turned:
            self._held_back.pop(name, None)
        return self._take_in(new, waiting)

    def _note_lease(self, rows: Iterable[Outgoing]) -> None:
        """A claim leased ``rows``. Whether before or after one was given back, nobody can tell."""
        for row in rows:
            if self._states.state(row.id) is State.RETURNING:
                self._returns[row.id].is_leased_anew = True

    def _take_in(self, rows: Sequence[Outgoing], waiting: Collection[str]) -> Came:
        """Hold ``rows``; give those back whose conversations are ``waiting``."""
        late: list[int] = []
        if waiting:
            late = self._give_back([row for row in rows if row.conversation in waiting])
            rows = [row for row in rows if row.conversation not in waiting]
        ids = [row.id for row in rows]
        self._states.step(_HOLD, ids)
        self._meet(ids)
        were_ready = len(self._ready)
        for row in rows:
            self.budget.held += len(row.content)
            known = self._conversations.get(row.conversation)
            if known is None:
                self._conversations[row.conversation] = deque([row])
                self._ready.append(row.conversation)
            else:
                known.append(row)
        return Came(len(self._ready) - were_ready, late)

    def begin(self) -> Outgoing | None:
        """The next row to submit, which is under way then; None where none is ready."""
        if not self._ready:
            return None
        row = self._conversations[self._ready.popleft()][0]
        self._states.step(_BEGIN, [row.id])
        return row

    def under_way(self) -> list[Outgoing]:
        """The rows that a connection has."""
        firsts = [rows[0] for rows in self._conversations.values()]
        return [row for row in firsts if self._states.state(row.id) is _UNDER_WAY]

    def waiting(self) -> list[Outgoing]:
        """The rows that are to be submitted, those included that a connection has."""
        return [row for rows in self._conversations.values() for row in rows]

    def take(self, row: Outgoing) -> bool:
        """``row`` is done with, and is to be deleted. True where the next one is ready by that."""
        self._states.step(_TAKE, [row.id])
        rows = self._conversations[row.conversation]
        rows.popleft()
        self._drop(row)
        if rows:
            self._ready.append(row.conversation)
        else:
            del self._conversations[row.conversation]
        return bool(rows)

    def defer(self, row: Outgoing, due_at: float) -> list[int]:
        """``row`` is to wait until ``due_at``. Gives those behind it, which go back too."""
        _, *behind = self.release(row)
        self._returns[row.id].deferral = Deferral(row, due_at)
        return behind

    def release(self, row: Outgoing) -> list[int]:
        """``row`` was not tried: gives it and those behind it, which go back too."""
        return self._give_back(self._dropped(row.conversation))

    def _dropped(self, conversation: str) -> Iterable[Outgoing]:
        rows = self._conversations.pop(conversation)
        for row in rows:
            self._drop(row)
        return rows

    def _drop(self, row: Outgoing) -> None:
        """Its content is in the table, and nobody needs it here any more."""
        self.budget.held -= len(row.content)
        row.content = b""

    def leave(self, row: Outgoing) -> list[int]:
        """Nobody knows what became of ``row``. Gives those behind it, which go back."""
        self._states.step(Step.LEAVE, [row.id])
        _, *behind = self._dropped(row.conversation)
        self._turn(row.conversation)
        return self._give_back(behind)

    def _give_back(self, rows: Iterable[Outgoing]) -> list[int]:
        rows = list(rows)
        ids = [row.id for row in rows]
        self._states.step(Step.GIVE_BACK, ids)
        self._hold_back(rows)
        return ids

    def _hold_back(self, rows: Collection[Outgoing]) -> None:
        """What comes to their conversations from now on is given back too: see `hold`."""
        for row in rows:
            self._returns[row.id] = _Return(row.conversation)
            self._turn(row.conversation)
        self._meet(row.id for row in rows)

    def _turn(self, conversation: str) -> None:
        """A row of it went back, or is back now."""
        self._held_back[conversation] = self._clock()
        if self._met is not None:
            self._turned.add(conversation)

    def _meet(self, ids: Iterable[int]) -> None:
        """For the claim that is under way, if one is."""
        if self._met is not None:
            self._met.update(ids)

    def end_hold_backs(self, seconds: float) -> None:
        """Take rows again of conversations that are back longer than ``seconds``."""
        long_ago = self._clock() - seconds
        over = {name for name, at in self._held_back.items() if at < long_ago}
        for name in over - {one.conversation for one in self._returns.values()}:
            del self._held_back[name]

    def give_back_all(self) -> list[int]:
        """At the end: all that was not submitted, and all that is in doubt, to be released.

        What was being given back counts as unwritten: who did so was cut off.
        """
        self._states.step_all(_FAIL, State.RETURNING)
        rows = [row for name in list(self._conversations) for row in self._dropped(name)]
        self._ready.clear()
        return self._give_back(rows) + self.begin_release()

    @property
    def is_behind(self) -> bool:
        """Whether the database lacks a change that was tried in vain."""
        return self._states.count(State.UNWRITTEN, State.UNDELETED) > 0

    def begin_again(self) -> Deferral | list[int]:
        """What could not be given back: one row to defer, or else all that are to be released.

        See `returned`. The list is empty where nothing is left.
        """
        for id in self._states.ids(State.UNWRITTEN):
            if deferral := self._returns[id].deferral:
                self._states.step(_WRITE, [id])
                return deferral
        return self._states.step_all(_WRITE, State.UNWRITTEN)

    def returned(self, ids: Collection[int], *, is_settled: bool) -> None:
        """How it ended to give rows back; where not ``is_settled``, it is to be tried again.

        So it is with what a claim had meanwhile: its lease may be newer than that change. What is
        not on its way back any more stays as it is.
        """
        going = {id for id in ids if self._states.state(id) is State.RETURNING}
        again = {id for id in going if not is_settled or self._returns[id].is_leased_anew}
        self._states.step(_FAIL, again)
        for id in again:
            self._returns[id].is_leased_anew = False
        self._states.step(_SETTLE, going - again)
        for id in going - again:
            self._turn(self._returns.pop(id).conversation)

    def doubt(self, rows: Collection[Outgoing]) -> None:
        """A transaction failed that leased ``rows`` to us: they may be there, and leased, or not.

        What comes to their conversations from now on is given back until that is known.
        """
        self._note_lease(rows)
        new = self._states.step_new(Step.DOUBT, [row.id for row in rows])
        self._hold_back([row for row in rows if row.id in new])

    def begin_release(self) -> list[int]:
        """The rows that are in doubt, to be released: see `returned`."""
        return self._states.step_all(_WRITE, State.DOUBTFUL)

    @property
    def has_deletions(self) -> bool:
        """Whether rows are to be deleted that no transaction has along yet. For any thread."""
        return self._states.count(*_TO_DELETE) > 0

    def begin_deletion(self) -> list[int]:
        """The rows to be deleted, for a transaction that does so: see `deleted`. For any thread."""
        return self._states.step_all(_WRITE, *_TO_DELETE)

    def deleted(self, ids: Collection[int], *, is_committed: bool) -> None:
        """How the transaction ended that had them from `begin_deletion`. For any thread.

        Where it failed, they come again next time.
        """
        self._states.step(_SETTLE if is_committed else _FAIL, ids)
