"""The states of a row of the outbox in the process that holds it, as one table of transitions.

For `lamson.storage.held`, which knows what leads from one to the next. A step that its state does
not allow is a mistake of ours: it raises `IllegalStep` and changes nothing. For any thread.
"""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class State(enum.Enum):
    """Where a row stands. In every state but ABSENT this process has a lease of it, or may have."""

    __hash__ = object.__hash__  # Enum's own costs a call in Python, several times for each row

    ABSENT = enum.auto()  # it never came, was given back, is deleted, or its lease is to run out
    WAITING = enum.auto()  # for a connection, or for an earlier row of its conversation
    UNDER_WAY = enum.auto()  # a connection has it
    TAKEN = enum.auto()  # done with: Postfix has it, or it is kept elsewhere; to be deleted
    DELETING = enum.auto()  # a transaction has its deletion along
    UNDELETED = enum.auto()  # that has failed; to be tried again
    RETURNING = enum.auto()  # it is being given back
    UNWRITTEN = enum.auto()  # giving it back has failed; to be tried again
    DOUBTFUL = enum.auto()  # the transaction that leased it failed, perhaps after its commit


class Step(enum.Enum):
    """What happens to a row."""

    __hash__ = object.__hash__

    HOLD = enum.auto()  # it came, leased to us
    DOUBT = enum.auto()  # it may have come
    BEGIN = enum.auto()  # it goes to a connection
    TAKE = enum.auto()  # it needs no other attempt
    LEAVE = enum.auto()  # nobody knows what became of it: its lease is to run out
    GIVE_BACK = enum.auto()  # it is to wait in the database, free for any process
    WRITE = enum.auto()  # a transaction begins that changes it
    SETTLE = enum.auto()  # that has ended well, or is not to be tried again
    FAIL = enum.auto()  # that has failed


TRANSITIONS: dict[State, dict[Step, State]] = {
    State.ABSENT: {
        Step.HOLD: State.WAITING,
        Step.DOUBT: State.DOUBTFUL,
        Step.GIVE_BACK: State.RETURNING,
    },
    State.WAITING: {Step.BEGIN: State.UNDER_WAY, Step.GIVE_BACK: State.RETURNING},
    State.UNDER_WAY: {
        Step.TAKE: State.TAKEN,
        Step.LEAVE: State.ABSENT,
        Step.GIVE_BACK: State.RETURNING,
    },
    State.TAKEN: {Step.WRITE: State.DELETING},
    State.DELETING: {Step.SETTLE: State.ABSENT, Step.FAIL: State.UNDELETED},
    State.UNDELETED: {Step.WRITE: State.DELETING},
    State.RETURNING: {Step.SETTLE: State.ABSENT, Step.FAIL: State.UNWRITTEN},
    State.UNWRITTEN: {Step.WRITE: State.RETURNING},
    State.DOUBTFUL: {Step.WRITE: State.RETURNING},
}

_ABSENT = State.ABSENT  # to look up a member of an Enum is slow in Python 3.11
_AFTER = {
    step: {state: steps[step] for state, steps in TRANSITIONS.items() if step in steps}
    for step in Step
}


class IllegalStep(Exception):
    """A row was to do what its state does not allow: our own mistake."""


class RowStates:
    """Which row is in which state. Rows are named by their ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[int, State] = {}
        self._ids: dict[State, dict[int, None]] = {state: {} for state in TRANSITIONS}

    def state(self, id: int) -> State:
        """Where a row stands."""
        return self._states.get(id, _ABSENT)

    def count(self, *states: State) -> int:
        """How many rows are in one of ``states``, all at the same moment."""
        total = 0
        with self._lock:
            for state in states:
                total += len(self._ids[state])
        return total

    def ids(self, *states: State) -> list[int]:
        """The rows in one of ``states``, those of each in the order in which they came there."""
        with self._lock:
            return self._all_in(states)

    def all(self) -> set[int]:
        """All rows that are in any state but ABSENT."""
        with self._lock:
            return set(self._states)

    def step(self, step: Step, ids: Collection[int]) -> None:
        """Let rows do one step: all of ``ids``, or none where one of them must not. They differ."""
        if ids:
            with self._lock:
                self._step(step, ids)

    def step_all(self, step: Step, *states: State) -> list[int]:
        """Let all rows do one step that are in one of ``states``; gives them."""
        with self._lock:
            ids = self._all_in(states)
            self._step(step, ids)
            return ids

    def step_new(self, step: Step, ids: Iterable[int]) -> set[int]:
        """Let those of ``ids`` do one step that are ABSENT: gives them; the others stay."""
        with self._lock:
            new = {id for id in ids if id not in self._states}
            self._step(step, new)
            return new

    def _all_in(self, states: Iterable[State]) -> list[int]:
        ids: list[int] = []
        for state in states:
            ids += self._ids[state]
        return ids

    def _step(self, step: Step, ids: Collection[int]) -> None:
        """With the lock held."""
        after = _AFTER[step]
        states, by_state = self._states, self._ids
        for id in ids:
            if (before := states.get(id, _ABSENT)) not in after:
                raise IllegalStep(f"row {id} is {before.name}: no {step.name} there")
        for id in ids:
            if (before := states.get(id, _ABSENT)) is not _ABSENT:
                del by_state[before][id]
            if (now := after[before]) is _ABSENT:
                del states[id]
            else:
                states[id] = now
                by_state[now][id] = None
