"""lamson_milter.proving: unproven mail is refused at SMTP time, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.message.parsed import ParsedMessage
from lamson.results import OwnServer
from lamson_milter.decision.edits import header_bytes
from lamson_milter.decision.transaction import ConnectionState, Rules, Transaction
from lamson_milter.filters import Filters
from lamson_milter.proving import filters_for_proof
from lamson_milter.rules import Asking
from tests.unit.support import make_router

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
@route("(?:leave|close)@(host)", proven=True)
@stateless
def act(message, host): ...

@route("(user)@(host)", user="ask|close")
@stateless
def ask(message, user, host): ...
"""
SERVER = OwnServer("mx.test")


def rules(directory: Path, server: OwnServer | None = SERVER) -> Rules:
    filters = Filters(filters_for_proof(make_router(directory, SOURCE), server))
    return Rules(filters, Asking(raise_errors=True), witness=server)


def refusal(rules: Rules, results: str, *recipients: str) -> str | None:
    transaction = Transaction(ConnectionState(rules))
    assert transaction.mail("<zed@example.com>") is None
    for recipient in recipients:
        assert transaction.rcpt(f"<{recipient}>") is None
    if results:
        transaction.header("Authentication-Results", f" {results}".encode())
    transaction.header("From", b" zed@example.com")
    outcome = transaction.end(
        lambda: ParsedMessage(header_bytes(transaction.fields)), queue_id="4bYm", now=1000.0
    )
    return None if outcome.refusal is None else str(outcome.refusal)


@pytest.mark.parametrize(
    "results",
    [
        "mx.test; dkim=fail header.d=example.com",
        "mx.test; dkim=none",
        "mx.test; dkim=pass header.d=evil.example; dmarc=fail header.from=example.com",
    ],
)
def test_unproven_mail_is_refused(tmp_path: Path, results: str) -> None:
    given = rules(tmp_path)
    said = refusal(given, results, "leave@test.com")
    assert said is not None
    assert said.startswith("550 5.7.1 This address takes mail only where DMARC or DKIM")
    assert refusal(given, results, "leave@test.com", "leave@TEST.com") == said


@pytest.mark.parametrize(
    ("results", "recipients"),
    [
        ("mx.test; dmarc=pass header.from=example.com", ["leave@test.com"]),
        ("mx.test; spf=pass smtp.mailfrom=example.com", ["leave@test.com"]),
        ("", ["leave@test.com"]),
        ("mx.evil; dkim=fail header.d=example.com", ["leave@test.com"]),
        ("mx.test; dkim=none", ["close@test.com"]),
        ("mx.test; dkim=none", ["ask@test.com"]),
        ("mx.test; dkim=none", ["leave@test.com", "ask@test.com"]),
        ("mx.test; dkim=none", ["leave@test.com", "ann@example.org"]),
    ],
)
def test_what_else_comes_is_not(tmp_path: Path, results: str, recipients: list[str]) -> None:
    assert refusal(rules(tmp_path), results, *recipients) is None


def test_without_a_server_that_proves_there_is_none(tmp_path: Path) -> None:
    assert filters_for_proof(make_router(tmp_path, SOURCE), None) == []
