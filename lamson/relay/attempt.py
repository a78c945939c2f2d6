"""One attempt to submit a row, and what becomes of it: done with, or to be tried again later.

For the relay. A temporary refusal or a broken connection asks for another attempt (exponential
back-off with jitter). A permanent one, or one that lasts longer than `max_age`, moves the message
to the undeliverable queue with the reason; where that is full, or cannot be written, the row is
tried again.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from lamson import failpoint, log, metrics, telemetry
from lamson.message.lineage import root_of
from lamson.message.message import Message
from lamson.relay.submission import SubmitterDown
from lamson.storage import failure, undeliverable
from lamson.storage.claims import LONGEST_DELAY
from lamson.storage.maildir import OversizeError
from lamson.storage.outgoing import few
from lamson.storage.patience import patience
from lamson.storage.quota import QueueFullError
from lamson.storage.undeliverable import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamson.relay.submission import Outcome, Submitter
    from lamson.storage.journal_sent import JournalSent
    from lamson.storage.maildir import Maildir
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.pace import Pace

FIRST_DELAY = 5.0  # seconds before the second attempt
LEASE_MARGIN = 90.0  # seconds of its lease that a row must have left to be submitted


FEW = 5  # recipients in a line of the log
# RFC 5321 section 4.5.3.1.10: the rest is to be sent in another transaction.
_MORE_LATER = re.compile(r"452 4\.5\.3\b")


class Fate(NamedTuple):
    """``due_at`` is when to try again, None where the row is done with or was not tried at all."""

    is_done: bool
    due_at: float | None = None


DONE = Fate(is_done=True)
NOT_TRIED = Fate(is_done=False)


class Attempts:
    """Makes them, for one server.

    A row is given up that is older than ``max_age``, in seconds, and was tried as often as half of
    that time allows for: the wall clock alone may have been set wrong for a moment, and a service
    that did not run for days has not tried. ``on_refusal`` is told of those that a row is given up
    for: the row, the recipients, what the server said and, as ``for_good``, whether it refused.
    ``journal`` is told how each attempt went, where one is kept.
    """

    def __init__(
        self,
        undeliverable: Maildir,
        max_age: float,
        on_refusal: Callable[..., None] = lambda row, recipients, why, *, for_good: None,
        pace: Pace | None = None,
        journal: JournalSent | None = None,
    ) -> None:
        self._journal = journal
        self._undeliverable = undeliverable
        self._on_refusal = on_refusal
        self._pace = pace
        self._max_age = max_age
        self._least = _attempts_within(max_age / 2)
        self._down_until = 0.0
        self._is_ours = False  # that it is down: this process could not even try

    @property
    def is_server_down(self) -> bool:
        """Whether the server failed just now, and is not asked for a moment."""
        return time.monotonic() < self._down_until

    async def make(self, submitter: Submitter, row: Outgoing) -> Fate:
        """Try ``row`` once. What this raises is a mistake of ours; it may be taken or not then."""
        if time.time() > row.lease_until - LEASE_MARGIN:  # it waited too long here
            return NOT_TRIED
        try:
            if self.is_server_down:
                reason = row.last_error or "submission does not answer"
                raise SubmitterDown(reason, is_ours=self._is_ours)
            if self._pace is not None and self._pace.holds(row):
                fate = await self._wait_for_turn(self._pace, row)
                if fate is not None:
                    return fate
            outcome = await self._submit(submitter, row)
        except SubmitterDown as error:
            if not self.is_server_down:  # else it was not tried
                metrics.count("submission_failures")
            self._is_ours = error.is_ours
            self._down_until = max(self._down_until, time.monotonic() + 1.0)
            return await self._put_off(row, str(error), counts=not error.is_ours)
        except Exception as error:  # noqa: BLE001 - a bug here must not stop the other mail
            log.logger.exception("id=%s: submitting %s failed", row.source, row.message_id)
            return await self._put_off(row, repr(error))
        if failpoint.ACTIVE:
            failpoint.reach(failpoint.AFTER_SUBMISSION)
        return await self._conclude(row, outcome)

    @staticmethod
    async def _submit(submitter: Submitter, row: Outgoing) -> Outcome:
        """Submit it, in a span where that is wanted."""
        if not telemetry.ACTIVE:
            return await submitter.submit(row)
        root = root_of(Message(row.octets)) or row.message_id or row.source
        span = telemetry.begin("submit", root, id=row.source, message_id=row.message_id)
        outcome: Outcome | None = None
        try:
            outcome = await submitter.submit(row)
            return outcome
        finally:
            telemetry.end(
                span, is_failure=outcome is None or bool(outcome.refusals), envid=row.envid or None
            )

    @staticmethod
    async def _wait_for_turn(pace: Pace, row: Outgoing) -> Fate | None:
        """None where it may go now."""
        try:
            with patience():
                due_at, why = await asyncio.to_thread(pace.turn, row)
        except SQLAlchemyError as error:
            log.logger.error("outbox: the database failed: %s", failure.brief(error))
            return NOT_TRIED
        if not due_at:
            return None
        row.last_error = why
        return Fate(is_done=False, due_at=due_at)

    async def _conclude(self, row: Outgoing, outcome: Outcome) -> Fate:
        """The row keeps the recipients that are to be tried again."""
        refused = {refusal.recipient for refusal in outcome.refusals}
        if taken := [one for one in row.recipients if one not in refused]:
            metrics.count("submissions", len(taken), outcome="submitted")
            log.event(
                "submitted",
                row.source,
                message_id=row.message_id or None,
                **_shown(taken),
                reply=outcome.reply,
            )
            self._note(row, taken, "submitted", outcome.reply)
        later = []
        for refusal in outcome.refusals:
            reason = f"refused by the submission server: {refusal.reply}"
            if not refusal.is_permanent or not await self._give_up(
                row, [refusal.recipient], reason
            ):
                later.append(refusal)
            else:
                self._on_refusal(row, [refusal.recipient], refusal.reply, for_good=True)
        if not later:
            return DONE
        row.recipients = tuple(refusal.recipient for refusal in later)
        if taken and all(_MORE_LATER.match(refusal.reply) for refusal in later):
            return Fate(is_done=False, due_at=time.time())
        return await self._put_off(row, later[0].reply)

    async def _put_off(self, row: Outgoing, reason: str, *, counts: bool = True) -> Fate:
        """The row is to be tried again later, or is given up where it is too old.

        What does not count as an attempt of the server is tried again soon, however often.
        """
        row.attempts += counts
        row.last_error = reason
        is_old = time.time() - row.created_at > self._max_age
        if is_old and row.attempts >= self._least:  # else the clock may have jumped
            why = f"given up after {row.attempts} attempts: {reason}"
            if await self._give_up(row, row.recipients, why):
                self._on_refusal(row, row.recipients, reason, for_good=False)
                return DONE
        delay = _back_off(row.attempts if counts else 1)
        metrics.count("submissions", len(row.recipients), outcome="deferred")
        log.event(
            "deferred",
            row.source,
            message_id=row.message_id or None,
            **_shown(row.recipients),
            attempt=row.attempts,
            delay=f"{delay:.0f}",
            reason=reason,
        )
        self._note(row, row.recipients, "deferred", reason)
        return Fate(is_done=False, due_at=time.time() + delay)

    def _note(self, row: Outgoing, recipients: Sequence[str], outcome: str, reply: str) -> None:
        """A bug there must not have a mail submitted again that was taken."""
        if self._journal is not None:
            try:
                self._journal.note(row, recipients, outcome, reply)
            except Exception:  # noqa: BLE001 - a line less in the journal is no mail less
                log.logger.exception("id=%s: the journal lacks %s", row.source, row.message_id)

    async def _give_up(self, row: Outgoing, recipients: Sequence[str], reason: str) -> bool:
        """Keep the message in the undeliverable queue. False when even that failed."""
        entry = Kept(row.octets, reason, row.sender, ", ".join(recipients), row.source)
        try:
            await asyncio.to_thread(undeliverable.write, self._undeliverable, entry)
        except QueueFullError:  # it has told so itself, once a minute
            return False
        except (OSError, OversizeError) as error:
            log.logger.error("id=%s: the undeliverable queue failed: %s", row.source, error)
            return False
        metrics.count("submissions", len(recipients), outcome="refused")
        log.event(
            "refused",
            row.source,
            message_id=row.message_id or None,
            **_shown(recipients),
            reason=reason,
        )
        self._note(row, recipients, "refused", reason)
        return True


def _shown(recipients: Sequence[str]) -> dict[str, object]:
    """The first recipients, for the log, and the number of all where those are not."""
    number = len(recipients) if len(recipients) > FEW else None
    return {"recipients": few(recipients, FEW), "count": number}


def _back_off(attempts: int) -> float:
    """Seconds until the next attempt."""
    return _delay(attempts) * random.uniform(0.8, 1.2)


def _delay(attempts: int) -> float:
    """The same without jitter; the power stays one that a float can hold."""
    return min(FIRST_DELAY * 2.0 ** min(attempts - 1, 20), LONGEST_DELAY)


def _attempts_within(seconds: float) -> int:
    """How many attempts are made in that time, the first one included."""
    attempts = 1
    while seconds >= _delay(attempts) and seconds < float("inf"):
        seconds -= _delay(attempts)
        attempts += 1
    return attempts
