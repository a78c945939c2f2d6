"""One connection of Postfix to the milter, and the mail on it.

For `callbacks`: libmilter hands it to each callback of the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import milter

from lamson_milter.decision.transaction import ConnectionState
from lamson_milter.libmilter.budget import Share
from lamson_milter.libmilter.runner import NEVER

if TYPE_CHECKING:
    from lamson.smtp.reply import Reply
    from lamson_milter.decision.transaction import Rules, Transaction
    from lamson_milter.libmilter.budget import Budget
    from lamson_milter.libmilter.spool import Spool


class Session:
    """One connection of Postfix, and the mail on it."""

    __slots__ = (
        "connection",
        "failure",
        "has_leading_space",
        "header_reply",
        "knows_queue_id",
        "share",
        "since",
        "spool",
        "steps",
        "transaction",
    )

    def __init__(self, rules: Rules, steps: int, budget: Budget) -> None:
        self.steps = steps
        # Asked for each field, so worked out once.
        self.has_leading_space = bool(steps & milter.P_HDR_LEADSPC)
        self.header_reply = self.reply(milter.P_NR_HDR)
        self.knows_queue_id = False  # Postfix was asked to tell it at RCPT
        self.connection = ConnectionState(rules)
        self.transaction: Transaction | None = None
        self.spool: Spool | None = None
        self.share = Share(budget)
        self.failure: Reply | None = None
        """What the mail is answered at its end, whatever its filters still come to."""
        self.since = NEVER  # monotonic: when a filter was begun without a thread

    def reply(self, silent: int) -> int:
        """The answer "go on" to what is not answered where ``silent`` was agreed on."""
        return int(milter.NOREPLY if self.steps & silent else milter.CONTINUE)

    @property
    def is_settled(self) -> bool:
        """True where no filter is asked any more: one has decided about all that follows."""
        if self.transaction is None:
            return self.connection.verdicts.is_settled
        return self.transaction.is_settled

    def reset(self) -> None:
        """Forget the mail."""
        self.transaction = None
        self.failure = None
        self.forget_content()

    def forget_content(self) -> None:
        """Give back the memory that the message takes."""
        if self.spool is not None:
            self.spool.close()
            self.spool = None
        self.share.clear()
