"""How many automatic answers one mailbox and one organisation get in an hour (RFC 3834 section 2).

They end a loop with another robot that every other rule let pass, and keep a stranger who writes
in others' names from filling a mailbox with answers, or all those of a company. All processes and
nodes share the counts in the database: each knows in memory how they stood when it last wrote,
which decides most questions, and what a batch of deliveries adds is counted in its transaction. An
answer that turns out there to be one too many is not sent.

A mailbox is the same however it is spelt: with another +detail, case or dots. Whoever is proven to
write is held to the cap of his mailbox only, so that strangers who write in the name of a large
provider take nothing from those who are there.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lamson.smtp import address
from lamson.smtp.organisation import organisational_domain
from lamson.storage import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lamson.storage.outgoing import Outgoing

_STEPS = 50


class Answer(NamedTuple):
    """One answer: what it is counted under, each with its cap, and its rows for the outbox."""

    caps: tuple[tuple[bytes, int], ...]
    rows: tuple[Outgoing, ...]


class AnswerLimit:
    """The caps of one application. ``clock`` is the service clock, ``remember`` how many keys."""

    def __init__(
        self,
        per_mailbox: int = 30,
        per_domain: int = 10_000,
        *,
        clock: Callable[[], float] = time.monotonic,
        remember: int = 10_000,
    ) -> None:
        self._per_mailbox = per_mailbox
        self._per_domain = per_domain
        self._clock = clock
        self._remember = remember
        # In two generations: the older one is dropped in one go.
        self._counts: dict[tuple[bytes, int], int] = {}
        self._older: dict[tuple[bytes, int], int] = {}
        self._unwritten: dict[tuple[bytes, int], int] = {}

    def caps(self, correspondent: str, *, is_proven: bool = False) -> tuple[tuple[bytes, int], ...]:
        """What an answer to this address is counted under, and how many there may be."""
        local, domain = address.split(address.normalise(correspondent))
        name = local.strip('"').partition("+")[0].replace(".", "")
        mailbox = f"{name or local}@{domain}"
        caps = ((_key("mailbox", mailbox), self._per_mailbox),)
        if is_proven or not domain:
            return caps
        return (*caps, (_key("domain", organisational_domain(domain)), self._per_domain))

    def is_reached(self, caps: Sequence[tuple[bytes, int]]) -> bool:
        """No further answer may go out within this hour, as far as this process knows."""
        return any(self._known(key) >= cap for key, cap in caps)

    def add(self, caps: Sequence[tuple[bytes, int]], number: int = 1) -> None:
        """One more; ``number`` is -1 for one whose transaction was rolled back."""
        for key, _ in caps:
            self._set(key, max(self._known(key) + number, 0))

    def settle(self, connection: Connection, given: Sequence[Answer]) -> list[Outgoing]:
        """Count answers for all processes, in their transaction; gives those that were too many."""
        caps = dict(cap for answer in given for cap in answer.caps)
        added = Counter(key for answer in given for key, _ in answer.caps)
        totals = answers.count(connection, self._to_write(added, caps), self._clock())
        for key, total in totals.items():
            self._set(key, max(total, self._known(key)))
        excess: list[Outgoing] = []
        for answer in reversed(given):
            if any(totals.get(key, 0) > cap for key, cap in answer.caps):
                excess += answer.rows
                for key, _ in answer.caps:
                    totals[key] = totals.get(key, 0) - 1
        return excess

    def _to_write(self, added: Mapping[bytes, int], caps: Mapping[bytes, int]) -> dict[bytes, int]:
        """What is to be counted now, with what was left before.

        The count of a large provider's domain is every transaction's, which would wait for each
        other: so it is told the database in steps of a fiftieth of its cap, of a small cap at once.
        """
        hour, ready = self._hour(), {}
        if len(self._unwritten) > self._remember:
            self._unwritten.clear()
        for key, number in added.items():
            pending = self._unwritten.pop((key, hour), 0) + number
            if pending * _STEPS >= caps[key]:
                ready[key] = pending
            else:
                self._unwritten[key, hour] = pending
        return ready

    def _hour(self) -> int:
        return int(self._clock() // answers.HOUR)

    def _known(self, key: bytes) -> int:
        place = key, self._hour()
        return self._counts.get(place, self._older.get(place, 0))

    def _set(self, key: bytes, count: int) -> None:
        self._counts[key, self._hour()] = count
        if len(self._counts) >= self._remember // 2:
            self._older, self._counts = self._counts, {}


def _key(kind: str, text: str) -> bytes:
    """As short as it can be, and no address in the table."""
    octets = f"{kind}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(octets).digest()[:16]
