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


OTHERS = "app.test, lists.test, other.test"
FILTERED = r"pipemap:{regexp:{{/^(.*@(app\.test|lists\.test))$$/ $$1}}, MAP}"


@pytest.mark.parametrize(
    ("table", "known", "fix"),
    [
        ("static:OK", {}, "by hand: take @app.test out of static:OK"),
        ("inline:{@app.test=x, a@other.test=x}", {}, "by hand: take @app.test out of inline:"),
        ("regexp:/r", {"@app.test": "x", "a@other.test": "x"}, "by hand: take @app.test out of "),
        ("texthash:/r", {"@app.test": "x", "a@other.test": "x"}, r"sed -i -E ':a;/^@app\.test("),
        ("inline:{@app.test=x}", {}, f"postconf -e 'relay_recipient_maps = {FILTERED}' && "),
    ],
)
def test_a_table_that_may_have_recipients_of_others_stays(
    paper: Callable[..., Paper], table: str, known: dict[str, str], fix: str
) -> None:
    """And what stays is as it was written: with one dollar less Postfix would not start."""
    one = paper()
    one.has_routes(r"users@(?:app|lists)\.test")
    own = FILTERED.replace("MAP", one.settings.lookup("recipient"))
    one.tables[table] = known
    one.run("-e", f"relay_domains={OTHERS}", f"relay_recipient_maps={table}, {own}")
    (finding,) = one.findings()
    assert finding.code == "anybody-is-a-recipient"
    assert finding.fix.startswith(fix.replace("MAP", one.settings.lookup("recipient")))


@pytest.mark.parametrize(
    "broken",
    [
        ("-e", "smtpd_reject_unlisted_recipient=no"),
        ("-e", "receive_override_options=no_unknown_recipient_checks"),
        ("-e", "soft_bounce=yes"),
        ("-e", "unknown_relay_recipient_reject_code=450"),
        ("-P", f"{WORLD}/inet/smtpd_reject_unlisted_recipient=no"),
    ],
)
@pytest.mark.parametrize("other", ["mydestination=localhost", f"relay_domains={OTHERS}"])
def test_what_decides_about_recipients_of_others_is_for_a_person(
    paper: Callable[..., Paper], broken: tuple[str, str], other: str
) -> None:
    """With luser_relay, or a list that is not complete, their mail would be refused for good."""
    one = paper()
    one.run("-e", other)
    if other.startswith("relay_domains"):
        one.apply()
    assert one.findings() == []
    one.run(*broken)
    (finding,) = one.findings()
    assert finding.fix.startswith("by hand, as it decides about recipients of others, too: ")


def test_recipients_of_others_at_a_service_stay(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-P", f"{WORLD}/inet/relay_recipient_maps=inline:{{x@other.test=x}}")
    (finding,) = one.findings()
    assert finding.code == "recipients-switched-off"
    assert finding.fix.startswith("by hand: relay_recipient_maps of ")
