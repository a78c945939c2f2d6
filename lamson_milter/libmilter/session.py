"""One connection of Postfix to the milter, and the mail on it.

For `callbacks`: libmilter hands it to each callback of the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import milter

from lamson_milter.decision.transaction import ConnectionState

if TYPE_CHECKING:
    from lamson_milter.decision.transaction import Rules, Transaction
    from lamson_milter.libmilter.spool import Spool

NEVER = float("inf")


class Session:
    """One connection of Postfix, and the mail on it."""

    __slots__ = (
        "connection",
        "has_failed",
        "has_leading_space",
        "header_reply",
        "knows_queue_id",
        "since",
        "spool",
        "steps",
        "transaction",
    )

    def __init__(self, rules: Rules, steps: int) -> None:
        self.steps = steps
        # Asked for each field, so worked out once.
        self.has_leading_space = bool(steps & milter.P_HDR_LEADSPC)
        self.header_reply = self.reply(milter.P_NR_HDR)
        self.knows_queue_id = False  # Postfix was asked to tell it at RCPT
        self.connection = ConnectionState(rules)
        self.transaction: Transaction | None = None
        self.spool: Spool | None = None
        self.has_failed = False
        self.since = NEVER  # monotonic: when a filter was begun without a thread

    def reply(self, silent: int) -> int:
        """The answer "go on" to what is not answered where ``silent`` was agreed on."""
        return int(milter.NOREPLY if self.steps & silent else milter.CONTINUE)

    def reset(self) -> None:
        """Forget the mail."""
        self.transaction = None
        self.has_failed = False
        if self.spool is not None:
            self.spool.close()
            self.spool = None
