"""lamson_milter.libmilter.session: what is kept of a connection, and forgotten of a mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.smtp.reply import LOCAL_ERROR
from lamson_milter.decision.transaction import Transaction
from lamson_milter.libmilter.budget import Budget
from lamson_milter.libmilter.spool import Spool
from tests.unit.milter.support import Dialogue

milter = pytest.importorskip(
    "milter", reason="pymilter is not installed (pip install 'lamson-postfix[milter]')"
)

from lamson_milter.libmilter.session import Session  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from lamson_milter.decision.transaction import Rules


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Dialogue(tmp_path, "@filter_sender\ndef f(mail): ...").connection.rules


def test_what_was_agreed_on_says_what_is_answered(rules: Rules) -> None:
    session = Session(rules, milter.P_NR_HDR | milter.P_HDR_LEADSPC, Budget(100))
    assert session.has_leading_space
    assert session.header_reply == session.reply(milter.P_NR_HDR) == milter.NOREPLY
    assert session.reply(milter.P_NR_MAIL) == milter.CONTINUE
    session = Session(rules, milter.P_NR_MAIL, Budget(100))
    assert not session.has_leading_space
    assert session.header_reply == milter.CONTINUE


def begin_mail(session: Session) -> Spool:
    session.transaction = Transaction(session.connection)
    session.spool = spool = Spool(1 << 30, session.share)
    session.failure = LOCAL_ERROR
    return spool


def test_the_mail_is_forgotten_and_the_connection_is_not(rules: Rules) -> None:
    budget = Budget(1 << 30)
    session = Session(rules, 0, budget)
    connection = session.connection
    spool = begin_mail(session)
    for _ in range(2):
        spool.write(b"x" * (1 << 20))
    assert budget.used > 0
    session.reset()
    assert session.transaction is None
    assert session.spool is None
    assert session.failure is None
    assert budget.used == 0
    assert spool.read() == b"", "its file is closed"
    assert session.connection is connection
    session.reset()
