"""What became of tracked mail: told once to the module that sent it, and remembered of the address.

For the handler of bounce addresses, and for the tasks of mail that submission did not take. What is
told stands in a table, in the transaction in which the module is told: so a report that comes
twice, or a process that dies, makes nobody be told twice or never. An address that turns out not to
exist, or whose owner complains, is suppressed; so is one whose mail failed too often for other
reasons.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from lamson import log
from lamson.message import failure
from lamson.message.report import ReportedRecipient
from lamson.storage import bounced, suppressed, threads, tracked
from lamson.storage.suppressed import Suppressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session

    from lamson.message.failure import Reason
    from lamson.message.report import Report
    from lamson.routing.router import Router
    from lamson.storage.state import StateKey
    from lamson.storage.tasks import Task
    from lamson.storage.tracked import Tracked

OutcomeKind = Literal[
    "failed",
    "delayed",
    "delivered",
    "relayed",
    "expanded",
    "complaint",
    "disposition",
    "vacation",
    "refused",
    "suppressed",
]
"""What became of it. The first eight are those of a `Report`; refused is what submission did not
take, or not in time, and suppressed what was not sent since the address is on the list of those."""

HARD: frozenset[Reason] = frozenset({"unknown-user", "disabled", "moved", "unknown-domain"})
_PERMANENT = {"complaint", "suppressed"}
_LONGEST = 500  # characters of a diagnostic that are kept with an address


class SentMail(NamedTuple):
    """What is known of a mail that was sent. ``list_id`` is that of its List-Id field, or ""."""

    message_id: str
    subject: str
    recipients: tuple[str, ...]
    sent_at: datetime
    list_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one mail for one of its recipients.

    ``recipient`` is the address that it was sent to, ``status`` the enhanced status code, such as
    5.1.1, and ``diagnostic`` what the other server said, in words; both "" where nobody said.
    ``is_permanent`` is True where trying again is of no use. ``state`` is where the conversation
    stands in which it was sent, "" where it was sent in none. ``report`` is the whole report, None
    where there is none since submission did not take the mail. ``thread_id`` is the id of the
    thread that it was sent in, where the module keeps its states `per_thread`, else "". A report is
    a stranger's words: whoever got the mail can write one.
    """

    kind: OutcomeKind
    recipient: str
    is_permanent: bool
    status: str
    diagnostic: str
    reason: Reason
    mail: SentMail
    state: str
    report: Report | None = None
    thread_id: str = ""

    @property
    def message_id(self) -> str:
        """The Message-ID of the mail."""
        return self.mail.message_id

    @property
    def is_hard(self) -> bool:
        """True where there is no such mailbox, and further mail to it is of no use either."""
        return self.is_permanent and self.kind in ("failed", "refused") and self.reason in HARD


class Sender(Protocol):
    """What mail is sent with: of this module, in this conversation."""

    module: str
    state_key: StateKey | None


class Means(Protocol):
    """What there is to tell a module with: a transaction, and the conversations in it."""

    @property
    def connection(self) -> Connection: ...

    @property
    def mailer(self) -> Sender: ...

    def session(self) -> Session: ...

    def state(self, key: StateKey) -> str: ...

    def move(self, key: StateKey, state: str, *, module: str) -> None:
        """``module`` is the handler module whose state that is."""


class Outcomes:
    """Tells the modules of ``router``.

    Where ``suppresses``, addresses are suppressed by what becomes of mail to them: at once where it
    is hard, and after ``soft_limit`` other failures within ``soft_days``.
    """

    def __init__(
        self,
        router: Router,
        *,
        suppresses: bool = True,
        soft_limit: int = 5,
        soft_days: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._router = router
        self._suppresses = suppresses
        self._soft_limit = soft_limit
        self._window = soft_days * 86400
        self._clock = clock

    def tell(
        self,
        mail: Tracked,
        kind: OutcomeKind,
        found: ReportedRecipient,
        means: Means,
        *,
        id: str,
        is_permanent: bool,
        report: Report | None = None,
    ) -> bool:
        """Tell of one recipient, in the transaction of ``means``; False where that was told before.

        ``id`` is how log lines call what is told by. Raises what the module's function raises.
        """
        address = found.address
        said = kind, tracked.digest(address), "permanent" if is_permanent else "passing"
        if not tracked.is_first(means.connection, mail.id, mail.until, *said):
            return False
        sent_at = datetime.fromtimestamp(mail.sent_at, UTC)
        outcome = Outcome(
            kind=kind,
            recipient=address,
            is_permanent=is_permanent,
            status=found.status,
            diagnostic=found.diagnostic,
            reason=found.reason,
            mail=SentMail(mail.message_id, mail.subject, mail.recipients, sent_at, mail.scope),
            state="" if mail.key is None else means.state(mail.key),
            report=report,
            thread_id="" if mail.key is None else threads.thread_of(mail.module, mail.key),
        )
        self._remember(means.connection, outcome)
        function, moved = self._call(mail, outcome, means)
        log.event(
            "outcome",
            id,
            kind=kind,
            recipient=address,
            status=found.status or None,
            message_id=mail.message_id or None,
            handler=function,
            state=outcome.state or None,
            next=moved,
        )
        return True

    def _call(self, mail: Tracked, outcome: Outcome, means: Means) -> tuple[str | None, str | None]:
        """Gives the names of the function, if there is one, and of the next state."""
        handler = self._router.outcome(mail.module)
        if handler is None:
            return None, None
        session = means.session() if handler.needs_session else None
        sender: Sender | None = None
        if handler.needs_delivery:
            sender = means.mailer
            sender.module, sender.state_key = mail.module, mail.key
        returned = handler.call(outcome, {}, sender, session)
        moved = None if mail.key is None else self._router.next_state(handler, returned)
        if mail.key is not None and moved is not None:
            means.move(mail.key, moved, module=mail.module)
        return handler.full_name, moved

    def _remember(self, connection: Connection, outcome: Outcome) -> None:
        """Count it for the address, and suppress that where it is time to."""
        address, reason, scope = outcome.recipient, "", ""
        if outcome.kind == "delivered":
            bounced.forget(connection, address)
        elif outcome.kind == "complaint":
            reason, scope = "complaint", outcome.mail.list_id
        elif outcome.is_hard or outcome.kind == "failed":
            count = bounced.count(
                connection,
                address,
                is_hard=outcome.is_hard,
                now=self._clock(),
                window=self._window,
            )
            if outcome.is_hard:
                reason = f"{outcome.reason} {outcome.status}".strip()
            elif 0 < self._soft_limit <= count.soft:
                reason = f"failed {count.soft} times, last with {outcome.status or 'no status'}"
        if reason and self._suppresses:
            said = outcome.diagnostic[:_LONGEST]
            suppressed.add(
                connection, Suppressed(address, scope, reason, said, since=self._clock())
            )

    def perform(self, task: Task, means: Means) -> None:
        """Tell of what submission did not take, or was not given: see `suppressed.task_of`."""
        said = task.payload
        mail = tracked.get(means.connection, said["id"])
        if mail is None:
            log.logger.warning("mail %s: what became of it comes too late to be told", said["id"])
            return
        words, kind = said["diagnostic"], said["kind"]
        status = failure.status_of(words)
        action = "failed" if kind == "refused" else ""
        for address in said["recipients"]:
            self.tell(
                mail,
                kind,
                ReportedRecipient(address, action, status, words),
                means,
                id=mail.id,
                is_permanent=said["is_permanent"],
            )


def is_permanent(kind: OutcomeKind, found: ReportedRecipient) -> bool:
    """Whether what a report says is for ever."""
    return kind in _PERMANENT or found.is_permanent
