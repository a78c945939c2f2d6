"""Transactions of filters that are written in the test."""

from __future__ import annotations

import importlib
import sys
import textwrap
from itertools import count
from typing import TYPE_CHECKING

from lamson.message.parsed import ParsedMessage
from lamson.smtp.envelope import Peer
from lamson_milter.decision.edits import header_bytes
from lamson_milter.decision.limits import SizeLimits
from lamson_milter.decision.transaction import ConnectionState, Rules, Transaction
from lamson_milter.filters import Filters
from lamson_milter.rules import Asking

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lamson.message.notes import Notary
    from lamson_milter.decision.outcome import Outcome

DEFAULTS = {"host": r"test\.com", "user": "[a-z0-9.]+"}
_numbers = count(1)

# Decides by the recipient's name.
BY_NAME = """
VERDICTS = {
    "reject": Reject("5.7.9", "no"), "defer": Defer("4.7.9", "later"), "discard": Discard,
    "hold": Quarantine("held"), "accept": Accept, "raise": SMTPError(550, "5.7.8", "raised"),
    "later": SMTPError(450, "4.7.8", "raised"), "exit": SystemExit(), "wrong": "250",
}

@filter_message("(user)@(host)")
def by_name(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-User", user)
    message.add_header("X-Same", "yes")
    verdict = VERDICTS.get(user)
    if isinstance(verdict, BaseException):
        raise verdict
    return verdict
"""


def names(*users: str) -> tuple[str, ...]:
    """Recipients of these names."""
    return tuple(f"{user}@test.com" for user in users)


def make_filters(directory: Path, source: str) -> Filters:
    """The filters of one module with ``source``, written into ``directory``."""
    name = f"filters_under_test_{next(_numbers)}"
    text = "from lamson_milter import *\nfrom lamson import SMTPError\n"
    (directory / f"{name}.py").write_text(text + textwrap.dedent(source))
    importlib.invalidate_caches()
    sys.path.insert(0, str(directory))
    try:
        return Filters.collect([name], DEFAULTS)
    finally:
        sys.path.remove(str(directory))


class Dialogue:
    """One client, stage by stage, as a test writes it down."""

    def __init__(
        self,
        directory: Path,
        source: str,
        notary: Notary | None = None,
        limits: SizeLimits | None = None,
    ) -> None:
        rules = Rules(
            make_filters(directory, source), Asking(), notary=notary, limits=limits or SizeLimits()
        )
        self.connection = ConnectionState(rules, Peer(name="client.test", addr="192.0.2.1"))
        self.transaction = Transaction(self.connection)

    def message(
        self,
        *recipients: str,
        sender: str = "zed@sender.test",
        fields: Iterable[tuple[str, bytes]] = (("Subject", b" Hello"),),
        body: bytes = b"Hi there.\r\n",
        is_truncated: bool = False,
    ) -> Outcome:
        """A message whose sender and recipients are accepted; what it comes to."""
        assert self.connection.connect() is None
        transaction = self.transaction = Transaction(self.connection)
        assert transaction.mail(f"<{sender}>") is None
        for recipient in recipients or ("one@test.com",):
            transaction.rcpt(f"<{recipient}>")
        for name, value in fields:
            transaction.header(name, value)
        return transaction.end(
            lambda: ParsedMessage(header_bytes(transaction.fields) + body),
            queue_id="4bYmCz0R3Dz1Xy",
            now=1000.0,
            is_truncated=is_truncated,
        )
