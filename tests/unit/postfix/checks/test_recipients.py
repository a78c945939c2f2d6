"""lamson.postfix.checks.recipients: looked up with us, and refused for good where unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.broken import is_named_and_mended
from tests.unit.postfix.paper import WORLD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper

BROKEN: dict[str, tuple[list[str], str]] = {
    "a service without recipients": (
        ["-M", "25/inet=25 inet n - n - - smtpd -o relay_recipient_maps="],
        "recipients-switched-off",
    ),
    "unknown recipients wait": (
        ["-e", "unknown_relay_recipient_reject_code=450"],
        "unknown-recipients-are-deferred",
    ),
    "soft bounces": (["-e", "soft_bounce=yes"], "soft-bounce"),
    "none is looked up": (
        ["-e", "smtpd_reject_unlisted_recipient=no"],
        "unlisted-recipients-are-taken",
    ),
    "none is looked up by one": (
        ["-P", f"{WORLD}/inet/smtpd_reject_unlisted_recipient=no"],
        "unlisted-recipients-are-taken",
    ),
    "a catch-all": (
        ["-e", "virtual_alias_maps=inline:{@app.test=x@other.test}"],
        "virtual-alias-takes-ours",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_it_is_named_and_its_cure_mends_it(paper: Callable[..., Paper], what: str) -> None:
    broken, code = BROKEN[what]
    is_named_and_mended(paper(), code, broken)


@pytest.mark.parametrize("table", ["static:all", "inline:{@app.test=x}"])
def test_a_table_that_knows_everybody(paper: Callable[..., Paper], table: str) -> None:
    one = paper()
    one.has_routes(r"users@(?:app|lists)\.test")
    own = one.settings.lookup("recipient")
    one.run("-e", f"relay_recipient_maps={table}, {own}")
    (finding,) = one.findings()
    assert finding.code == "anybody-is-a-recipient"
    one.cure(finding)
    assert one.findings() == []
    assert one.value("relay_recipient_maps") == own
