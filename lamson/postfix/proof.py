"""What a plan would change for others, asked of two copies of Postfix: one as it is, one with it.

For `lamson postfix apply`, which does nothing that would change an answer for somebody else, and
`plan -prove`. smtpd is asked whether it takes mail for an address, as a stranger and from this
machine, trivial-rewrite where it goes. Mail that this project routes is to change, so these answers
are not compared; nor what a domain of ours refused, or brought to us, before. Where no copy can be
run, LamsonError says why.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamson.errors import UnavailableError
from lamson.postfix import private_copy, sample, transport
from lamson.postfix.asking import Reply, Rewrite, Smtpd, Way
from lamson.postfix.private_copy import PrivateCopy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from lamson.postfix.plan import Change
    from lamson.postfix.site import Site

_BUDGET = 60.0  # seconds for all questions
_SLOW = 0.5  # seconds after which a lookup that fails is one that is down
_STRIKES = 2  # slow ones after which no more is asked about a domain
_AT_ONCE = 50  # addresses
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """Of an address, what each smtpd says to each kind of client, and where mail for it goes."""

    replies: Mapping[str, Reply]
    way: Way

    @property
    def is_accepted(self) -> bool:
        return any(reply.kind == "accepted" for reply in self.replies.values())


@dataclass(frozen=True, slots=True)
class Difference:
    """An address that would be answered otherwise."""

    address: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.address}: before: {self.before}; after: {self.after}"


@dataclass(slots=True)
class Proof:
    """``changed`` are the answers for others that would change, of ``compared`` addresses;
    ``ours`` those that were not compared; ``notes`` say what was not asked, and why."""

    compared: int = 0
    ours: list[str] = field(default_factory=list)
    changed: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prove(
    site: Site,
    changes: Sequence[Change],
    probes: Iterable[str] = (),
    moved: Collection[str] = (),
) -> Proof:
    """Of the changes that are not in doubt. ``probes`` are addresses to ask about besides those of
    the configuration, ``moved`` domains whose mail is to come to us from where it goes now.

    Raises LamsonError where it cannot be asked.
    """
    taken = sample.of(site)
    addresses = list(dict.fromkeys([*probes, *taken.addresses]))
    theirs = [one for one in addresses if not _is_ours(site, one)]
    own = [one for one in addresses if _is_ours(site, one)]
    done = [one for one in changes if not one.doubt]
    configuration = site.configuration
    with private_copy.place() as place, ExitStack() as running:
        ask = running.enter_context(ThreadPoolExecutor(2))  # ends once the copies have
        copies = [
            PrivateCopy(place / "before", configuration, []),
            PrivateCopy(place / "after", configuration, done),
        ]
        for copy in copies:
            running.enter_context(copy)
        for copy in copies:
            copy.wait()
        until = time.monotonic() + _BUDGET
        keys = _keys(*copies)
        waiting = [
            ask.submit(_Questions(copy, keys, until).ask, asked)
            for copy, asked in zip(copies, (addresses, theirs), strict=True)
        ]
        before, after = (one.result() for one in waiting)
        lost = [one for one in own if one in before and _is_at_home(site, one, before[one], moved)]
        after |= _Questions(copies[1], keys, until).ask(lost)
    notes = [*taken.notes, *_left_out(copies[0])]
    return compare([*theirs, *lost], before, after, notes, [one for one in own if one not in lost])


def compare(
    addresses: Sequence[str],
    before: Mapping[str, Answer],
    after: Mapping[str, Answer],
    notes: Iterable[str] = (),
    ours: Iterable[str] = (),
) -> Proof:
    """Of these addresses, those whose answers differ; one that was not asked both times is told."""
    proof = Proof(ours=list(ours), notes=list(notes))
    unasked = [one for one in addresses if one not in before or one not in after]
    failed = []
    for address in addresses:
        if address in unasked:
            continue
        proof.compared += 1
        was, will_be = before[address], after[address]
        if _meaning(was) != _meaning(will_be):
            proof.changed.append(_difference(address, was, will_be))
        elif problem := _failure(was):
            failed.append(f"{address} ({problem})")
    for what, found in (
        ("not asked, as lookups for their domains are down, or there was no time", unasked),
        ("could not be asked: a lookup fails", failed),
    ):
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            proof.notes.append(f"{what}: {', '.join(found[:_SHOWN])}{more}")
    return proof


def _meaning(answer: Answer) -> object:
    kinds = {asked: reply.kind for asked, reply in answer.replies.items()}
    return kinds, str(answer.way), answer.way.recipient


def _failure(answer: Answer) -> str:
    """What smtpd or trivial-rewrite says of a lookup that fails."""
    deferred = [reply for reply in answer.replies.values() if reply.kind == "deferred"]
    return str(deferred[0]) if deferred else "" if answer.way.is_known else str(answer.way)


def _difference(address: str, before: Answer, after: Answer) -> Difference:
    """Told by the first that says something else, and by the way."""
    other = [
        asked
        for asked, reply in before.replies.items()
        if asked not in after.replies or after.replies[asked].kind != reply.kind
    ]
    said = [
        f"{answer.replies[other[0]]} ({other[0]}), " if other and other[0] in answer.replies else ""
        for answer in (before, after)
    ]
    return Difference(address, f"{said[0]}to {before.way}", f"{said[1]}to {after.way}")


def _is_ours(site: Site, address: str) -> bool:
    return site.domains.holds(address.rpartition("@")[2])


def _is_at_home(site: Site, address: str, answer: Answer, moved: Collection[str]) -> bool:
    """An address in a domain of ours that has another home, and that no route of ours takes."""
    if site.router.match(address) or address.rpartition("@")[2].lower() in moved:
        return False
    place = transport.of(site).place
    is_elsewhere = answer.way.is_elsewhere or transport.is_one_place(answer.way.next_hop, place)
    return answer.is_accepted and not is_elsewhere


def _keys(before: PrivateCopy, after: PrivateCopy) -> list[str]:
    """Of the smtpd services that are there now, those that may answer each in its own way."""
    pairs = {key: (path, after.smtpds[key]) for key, path in before.smtpds.items()}
    return list({pair: key for key, pair in reversed(pairs.items())}.values())[::-1]


def _left_out(copy: PrivateCopy) -> list[str]:
    if not copy.left_out:
        return []
    return [f"left out of the copy, as it asks others: {', '.join(copy.left_out)}"]


class _Questions:
    """Asks one copy. A domain whose lookups are down is asked about twice, not for ever."""

    def __init__(self, copy: PrivateCopy, keys: Iterable[str], until: float) -> None:
        self._copy = copy
        self._keys = list(keys)
        self._until = until
        self._slow: dict[str, int] = {}

    def ask(self, addresses: Iterable[str]) -> dict[str, Answer]:
        """The answers, without those addresses that there was no time for."""
        asked = list(addresses)
        if not asked:
            return {}
        try:
            replies: dict[str, dict[str, Reply]] = {one: {} for one in asked}
            for key in self._keys:
                path = self._copy.smtpds[key]
                self._offer(f"{key}, to the world", path, replies, is_stranger=True)
                self._offer(f"{key}, to this machine", path, replies, is_stranger=False)
            return self._ways(replies)
        except OSError as error:
            raise UnavailableError(
                f"a copy of this Postfix does not answer: {self._copy.complaint() or error}"
            ) from None

    def _offer(
        self, name: str, path: Path, replies: dict[str, dict[str, Reply]], *, is_stranger: bool
    ) -> None:
        with closing(Smtpd(path, is_stranger=is_stranger)) as smtpd:
            waiting = list(replies)
            while waiting:
                batch, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
                for address in (one for one in batch if self._is_over(one)):
                    del replies[address]
                asked = [one for one in batch if one in replies]
                begin = time.monotonic()
                for address, reply in zip(asked, smtpd.recipients(asked), strict=False):
                    replies[address][name] = reply
                    if self._took(address, begin, is_failure=reply.kind == "deferred"):
                        # The others may be in another domain, or it is asked again only once.
                        smtpd.reopen()
                        waiting = [one for one in asked if name not in replies[one]] + waiting
                        break
                    begin = time.monotonic()

    def _ways(self, replies: Mapping[str, Mapping[str, Reply]]) -> dict[str, Answer]:
        found = {}
        with closing(Rewrite(self._copy.rewrite)) as rewrite:
            for address, said in replies.items():
                begin = time.monotonic()
                if not self._is_over(address):
                    way = rewrite.way(address)
                    found[address] = Answer(said, way)
                    self._took(address, begin, is_failure=not way.is_known)
        return found

    def _is_over(self, address: str) -> bool:
        """No more is asked about it: lookups for its domain are down, or there is no time."""
        is_down = self._slow.get(address.rpartition("@")[2], 0) >= _STRIKES
        return is_down or time.monotonic() > self._until

    def _took(self, address: str, begin: float, *, is_failure: bool) -> bool:
        """Whether that was a lookup that is down."""
        is_slow = is_failure and time.monotonic() - begin > _SLOW
        if is_slow:
            domain = address.rpartition("@")[2]
            self._slow[domain] = self._slow.get(domain, 0) + 1
        return is_slow
