"""The handler of bounce addresses: it reads what comes, and has it told what became of a mail.

Who writes there has seen the mail that it is about, and no more is known of him. So a report counts
for those whom that mail was sent to, and for nobody else; nothing that comes is answered. What
cannot be understood, such as a letter of a person who answered the bounce address, is kept in
`run/undeliverable` for one to read: of each mail a few, since anybody who has it could fill that
up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lamson.delivery.keeping import keep_few
from lamson.delivery.outcomes import is_permanent
from lamson.message.report import ReportedRecipient
from lamson.routing.bounces import DAYS
from lamson.smtp import address
from lamson.smtp.reply import SMTPError
from lamson.storage import tracked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import Connection

    from lamson.delivery.conversations import Conversations
    from lamson.delivery.outcomes import OutcomeKind, Outcomes
    from lamson.message.report import Report
    from lamson.message.request import MailRequest
    from lamson.routing.bounces import BounceAddresses
    from lamson.storage.maildir import Maildir
    from lamson.storage.tracked import Tracked

_MOST_TOLD = 20  # of what one report says, in the journal
_OF_DELIVERY = {"failed", "delayed", "delivered", "relayed", "expanded"}


class Reports:
    """Takes what comes to the addresses that ``addresses`` knows."""

    def __init__(
        self,
        addresses: BounceAddresses,
        outcomes: Outcomes,
        undeliverable: Maildir,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._addresses = addresses
        self._outcomes = outcomes
        self._undeliverable = undeliverable
        self._clock = clock

    def take(self, message: MailRequest, conversations: Conversations) -> None:
        """Tell what it reports. Raises SMTPError where it has come too late, or cannot be kept."""
        id = self._addresses.read(message.recipient.address)
        if id is None:
            raise SMTPError(550, "5.1.1", "this address is no longer valid")
        connection = conversations.connection
        mail = tracked.get(connection, id)
        report = message.report
        if mail is None:
            why, until = "it is about a mail that is not known here", self._clock() + DAYS * 86400
            self._keep(connection, id, until, message, why)
            return
        if report is None:
            why = "it is no report, and came to a bounce address"
            self._keep(connection, mail.id, mail.until, message, why)
            return
        told: list[str] = []
        for kind, found in findings(mail, report):
            told.append(" ".join(filter(None, (kind, found.address, found.status))))
            self._outcomes.tell(
                mail,
                kind,
                found,
                conversations,
                id=message.envelope.id,
                is_permanent=is_permanent(kind, found),
                report=report,
            )
        conversations.told = (mail.id, ", ".join(told[:_MOST_TOLD]))
        if not told and report.kind not in ("vacation", "disposition"):
            why = "it is a report about nobody whom that mail was sent to"
            self._keep(connection, mail.id, mail.until, message, why)

    def _keep(
        self, connection: Connection, id: str, until: float, message: MailRequest, reason: str
    ) -> None:
        keep_few(self._undeliverable, connection, message, reason, of=id, until=until)


def findings(mail: Tracked, report: Report) -> Iterator[tuple[OutcomeKind, ReportedRecipient]]:
    """What the report says of each recipient of the mail, under the address that it was sent to.

    Where it had only one, as each that `Posting` sends has, whoever is named is he: an alias of
    his, or where he has it forwarded.
    """
    sent_to = {address.normalise(one): one for one in mail.recipients}
    only = mail.recipients[0] if len(mail.recipients) == 1 else None
    named = report.recipients
    if not named and only is not None:
        named = [ReportedRecipient(only, report.kind if report.kind in _OF_DELIVERY else "")]
    for one in named:
        found = sent_to.get(address.normalise(one.address), only)
        if found is not None:
            kind: OutcomeKind = report.kind
            if report.kind in _OF_DELIVERY and one.action in _OF_DELIVERY:
                kind = one.action  # type: ignore[assignment]
            yield kind, one._replace(address=found)
