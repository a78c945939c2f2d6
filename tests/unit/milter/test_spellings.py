"""The milter's door: whatever the spelling of an address, the answer of the other doors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.routing.domains import Domains
from lamson.smtp.reply import NO_SUCH_RECIPIENT
from lamson_milter.rules import recipient_check
from tests.unit.milter.support import make_filters
from tests.unit.support import make_router

if TYPE_CHECKING:
    from pathlib import Path

HANDLER = """
@route(r"users@(?:test\\.com|b\u00fccher\\.example)")
@stateless
def USERS(message): ...
"""
FILTER = """
@filter_recipient("users@(host)", host=r"(?:test\\.com|xn--bcher-kva\\.example)")
def users(mail: Arrival, host: str) -> Verdict: ...
"""
SPELLINGS = [
    "u\u017fers@te\u017ft.com",
    "users@\uff54est.com",
    "users@B\u00dcCHER.example",
    "users@bu\u0308cher.example",
    "USERS@XN--BCHER-KVA.example",
]


@pytest.mark.parametrize("recipient", SPELLINGS, ids=ascii)
def test_filters_and_recipients(tmp_path: Path, recipient: str) -> None:
    router = make_router(tmp_path, HANDLER)
    refuse = recipient_check(router, Domains(router.routes))
    assert refuse(recipient) is None
    assert refuse(f"x{recipient}") == NO_SUCH_RECIPIENT
    filters = make_filters(tmp_path, FILTER)
    assert [one.handler.name for one, _ in filters.recipient.match(recipient)] == ["users"]
