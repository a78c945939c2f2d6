"""What the workers count, in memory that all processes of a service share.

For whoever does something that an operator wants to see in numbers: `count` and `observe` cost a
few nanoseconds where nobody asked for numbers, a few hundred where somebody did, and never raise.
What there is to count stands in `CATALOGUE`; a name or a label that is not there is not counted.

The supervisor makes one `Board` before it forks. Each worker has a slot of it, in which nobody
else writes, so no lock is shared and a worker that is killed leaves what it counted. A free slot is
given to a new worker as it is, and that one counts on from there: a sum over all slots never goes
backwards, whoever dies. Names that come from a project's code, those of its handlers, are written
beside their numbers; a worker tells so many apart, and the others are `OTHER`. Nothing from a mail
is ever a name.
"""

from __future__ import annotations

import mmap
import os
import threading
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOTS = 512  # workers at a time, those included that are leaving after a reload
HANDLERS = 64  # that a worker tells apart
OTHER = "other"
BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)  # seconds
GROUPS = ("lmtp", "socketmap", "milter", "status")

_CLASSES = ("2xx", "4xx", "5xx")  # of replies
_OF_MESSAGE = ("messages", "message_bytes", "recipients")
_NUMBER = 8  # octets of each number
_HEAD = 8  # numbers before the first slot; the first tells how many slots were ever given
_SLOT_HEAD = 4  # numbers: process id, seconds of silence, and the group's name
_PID, _SILENCE, _GROUP = 0, 1, 2
_NAME = 16  # numbers that a handler's name takes
_SUM = _NAME + len(BUCKETS) + 1  # behind a number for each bucket and for +Inf
_RECORD = _SUM + 1  # its name, a number for each bucket and for +Inf, the sum


@dataclass(frozen=True, slots=True)
class Counted:
    """One thing that is counted: what it is, in which unit, and the values of its labels."""

    what: str
    unit: str = ""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


CATALOGUE: Mapping[str, Counted] = {
    "messages": Counted("Messages taken over from Postfix.", "messages"),
    "message_bytes": Counted("Octets of these messages.", "octets"),
    "recipients": Counted("Recipients of these messages.", "recipients"),
    "recipients_refused": Counted(
        "Recipients refused at RCPT, since no route matches.", "recipients"
    ),
    "replies": Counted(
        "Final replies to Postfix, one for each recipient, by the class of their code.",
        "recipients",
        {"reply": _CLASSES},
    ),
    "batches": Counted(
        "Transactions of the database that deliveries were handled in, those included that were "
        "undone.",
        "transactions",
    ),
    "submissions": Counted(
        "Recipients of mail that was handed to submission, by what became of it. `deferred` counts "
        "each attempt.",
        "recipients",
        {"outcome": ("submitted", "deferred", "refused")},
    ),
    "submission_failures": Counted(
        "Attempts in which the submission server was not reached, not secured, not logged in to, "
        "or hung up.",
        "attempts",
    ),
    "milter_verdicts": Counted(
        "Verdicts of the milter: on each message, and on each client, sender or recipient that was "
        "refused before. `failed` is where a filter failed, or took too long.",
        "verdicts",
        {
            "verdict": (
                "accepted",
                "rejected",
                "deferred",
                "discarded",
                "quarantined",
                "failed",
            )
        },
    ),
    "socketmap_lookups": Counted(
        "Lookups of Postfix, by the map and the answer.",
        "lookups",
        {
            "map": ("recipient", "transport", "domain", OTHER),
            "answer": ("ok", "notfound", "perm", "temp"),
        },
    ),
    "database_errors": Counted(
        "Statements that the database refused: `outage` where it does not answer, is locked or "
        "full; `conflict` where it ended one transaction in favour of another; `other` the rest, "
        "such as a constraint.",
        "statements",
        {"kind": ("outage", "conflict", OTHER)},
    ),
    "worker_deaths": Counted(
        "Workers that ended though nobody told them to, those included that stood still and were "
        "killed.",
        "processes",
        {"group": GROUPS},
    ),
}
HANDLER_SECONDS = "handler_seconds"
HANDLER_SECONDS_IS = "Seconds that runs of a handler took, by `module.function`."

_PLACES: dict[tuple[str, ...], int] = {
    key: _SLOT_HEAD + at
    for at, key in enumerate(
        (name, *values)
        for name, counted in CATALOGUE.items()
        for values in product(*counted.labels.values())
    )
}
_RECORDS = _SLOT_HEAD + len(_PLACES)
_SLOT = _RECORDS + (HANDLERS + 1) * _RECORD


class Totals(NamedTuple):
    """All that was counted: by name and labels, and of each handler the buckets and the sum."""

    counts: Mapping[tuple[str, ...], float]
    handlers: Mapping[str, list[float]]


class Member(NamedTuple):
    """A worker that is there now; ``silence``: seconds for which its heart did not beat."""

    group: str
    pid: int
    silence: float


class Board:
    """The memory. Made by the supervisor, and inherited by all that it forks."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._memory = mmap.mmap(-1, (_HEAD + slots * _SLOT) * _NUMBER)
        self._numbers = memoryview(self._memory).cast("d")

    # In the supervisor.

    def take(self, group: str) -> int | None:
        """A slot for a worker of the group, None where there is none left.

        It is one that such a worker had before, where there is one: it knows its handlers.
        """
        given = int(self._numbers[0])
        free = [slot for slot in range(given) if not self._numbers[self._at(slot)]]
        same = [slot for slot in free if self._text(self._at(slot) + _GROUP, 2) == group]
        if same:
            slot = same[0]
        elif given < self._slots:
            slot = given
            self._numbers[0] = given + 1
        elif free:
            slot = free[0]
        else:
            return None
        self._write(self._at(slot) + _GROUP, 2, group)
        self._numbers[self._at(slot) + _SILENCE] = 0.0
        self._numbers[self._at(slot)] = -1.0  # taken, by nobody yet
        return slot

    def settle(self, slot: int | None, pid: int, silence: float = 0.0) -> None:
        """The process ``pid`` has the slot; 0 for nobody any more."""
        if slot is not None:
            self._numbers[self._at(slot)] = float(pid)
            self._numbers[self._at(slot) + _SILENCE] = silence

    # In the process that reads.

    def members(self) -> list[Member]:
        """The workers that are there now."""
        found = []
        for slot in range(int(self._numbers[0])):
            at = self._at(slot)
            pid = int(self._numbers[at])
            if pid > 0:
                group = self._text(at + _GROUP, 2)
                found.append(Member(group, pid, self._numbers[at + _SILENCE]))
        return found

    def totals(self) -> Totals:
        """The sums over all slots."""
        counts = dict.fromkeys(_PLACES, 0.0)
        handlers: dict[str, list[float]] = defaultdict(lambda: [0.0] * (_RECORD - _NAME))
        for slot in range(int(self._numbers[0])):
            at = self._at(slot)
            for key, place in _PLACES.items():
                counts[key] += self._numbers[at + place]
            for record in range(at + _RECORDS, at + _SLOT, _RECORD):
                name = self._text(record, _NAME)
                if name:
                    known = handlers[name]
                    for number in range(_RECORD - _NAME):
                        known[number] += self._numbers[record + _NAME + number]
        return Totals(counts, dict(handlers))

    # In the process that counts, see `begin`.

    def place(self, slot: int) -> tuple[memoryview[float], int, dict[str, int]]:
        """The numbers, where those of the slot begin, and where those of each handler do."""
        at = self._at(slot)
        records = range(at + _RECORDS, at + _SLOT, _RECORD)
        known = {name: record for record in records if (name := self._text(record, _NAME))}
        return self._numbers, at, known

    def name(self, record: int, handler: str) -> None:
        """What is counted there from now on."""
        self._write(record, _NAME, handler)

    def _at(self, slot: int) -> int:
        return _HEAD + slot * _SLOT

    def _text(self, at: int, numbers: int) -> str:
        octets = self._memory[at * _NUMBER : (at + numbers) * _NUMBER]
        return octets.rstrip(b"\0").decode("utf-8", "replace")

    def _write(self, at: int, numbers: int, text: str) -> None:
        size = numbers * _NUMBER
        octets = text.encode("utf-8", "replace")[:size].ljust(size, b"\0")
        self._memory[at * _NUMBER : (at + numbers) * _NUMBER] = octets


class _Counting:
    """What this process counts, into its slot. For all of its threads."""

    def __init__(self, board: Board, slot: int) -> None:
        self._board = board
        self._slot = slot
        self.numbers, self._at, self._known = board.place(slot)
        self.lock = threading.Lock()
        self.places = {key: self._at + place for key, place in _PLACES.items()}
        self.message = tuple(self.places[name,] for name in _OF_MESSAGE)
        self.replies = {int(one[0]): self.places["replies", one] for one in _CLASSES}

    def observe(self, handler: str, seconds: float) -> None:
        bucket = bisect_left(BUCKETS, seconds)
        with self.lock:
            record = self._known.get(handler)
            if record is None:
                record = self._enter(handler)
            numbers = self.numbers
            numbers[record + bucket + _NAME] += 1.0
            numbers[record + _SUM] += seconds

    def _enter(self, handler: str) -> int:
        """Where runs of one that is not known are counted: that of `OTHER` where all are taken."""
        name = handler.encode()[: _NAME * _NUMBER].decode("utf-8", "ignore")
        if name not in self._known:
            if len(self._known.keys() | {OTHER}) > HANDLERS:
                name = OTHER
            records = range(self._at + _RECORDS, self._at + _SLOT, _RECORD)
            taken = set(self._known.values())
            if name not in self._known:  # there is one more than names, for OTHER
                record = next(one for one in records if one not in taken)
                self._known[name] = record
                self._board.name(record, name)
        record = self._known[name]
        if name != OTHER:
            self._known[handler] = record
        return record


_own: _Counting | None = None


def begin(board: Board, slot: int) -> None:
    """Have this process count, into a slot that it alone has."""
    global _own
    _own = _Counting(board, slot)


def stop() -> None:
    """Count nothing any more."""
    global _own
    _own = None


def is_counting() -> bool:
    """Whether anybody asked for numbers."""
    return _own is not None


def count(name: str, number: float = 1.0, /, **labels: str) -> None:
    """``number`` more of what `CATALOGUE` calls so; the labels in its order."""
    own = _own
    if own is not None:
        at = own.places.get((name, *labels.values()))
        if at is not None:
            with own.lock:
                own.numbers[at] += number


def count_message(octets: int, recipients: int) -> None:
    """One more message. On the loop's thread alone, as `count_reply`: neither takes a lock."""
    own = _own
    if own is not None:
        messages, message_bytes, of_recipients = own.message
        numbers = own.numbers
        numbers[messages] += 1.0
        numbers[message_bytes] += octets
        numbers[of_recipients] += recipients


def count_reply(code: int, recipients: int = 1) -> None:
    """A final reply to so many recipients. On the loop's thread alone."""
    own = _own
    if own is not None:
        at = own.replies.get(code // 100)
        if at is not None:
            own.numbers[at] += recipients


def observe_run(handler: str, seconds: float) -> None:
    """A run of a handler took so long: `observe` of `HANDLER_SECONDS`, at less cost."""
    own = _own
    if own is not None:
        own.observe(handler, seconds)


def observe(name: str, value: float, /, **labels: str) -> None:
    """Something took ``value`` seconds: `HANDLER_SECONDS`, with ``handler=``."""
    if _own is not None and name == HANDLER_SECONDS:
        _own.observe(labels["handler"], value)


# What a handler forks has no slot of its own, and perhaps a lock that nobody lets go of any more.
os.register_at_fork(after_in_child=stop)
