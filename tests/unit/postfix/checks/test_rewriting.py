"""lamson.postfix.checks.rewriting: what Postfix's tables make of addresses of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix.checks import rewriting

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper

USERS = r"(?:users|staff)\+?[a-z]*@app\.test"


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("virtual_alias_maps=regexp:{{/^(users|postmaster)/ bob@other.test}}", "recipient-is-rew"),
        ("virtual_alias_maps=inline:{users@app.test=bob@other.test}", "recipient-is-rewritten"),
        ("canonical_maps=inline:{@app.test=@other.test}", "recipient-is-rewritten"),
        ("sender_canonical_maps=regexp:{{/.+/ me@provider.test}}", "sender-is-rewritten"),
        ("smtp_generic_maps=inline:{@app.test=me@provider.test}", "sender-is-rewritten"),
        ("relocated_maps=inline:{users@app.test=elsewhere}", "relocated-has-ours"),
        ("transport_maps=inline:{app.test=lamson:inet:[127.0.0.1]:8823 lists.test="
         "lamson:inet:[127.0.0.1]:8823 users@app.test=discard:}", "transport-of-address"),
    ],
)  # fmt: skip
def test_it_is_named(paper: Callable[..., Paper], setting: str, code: str) -> None:
    one = paper()
    one.has_routes(USERS)
    one.main["recipient_delimiter"] = "+"
    name, _, value = setting.partition("=")
    one.main[name] = value
    found = list(rewriting.findings(one.site()))
    assert found
    assert found[0].code.startswith(code)
    assert found[0].fix.startswith("by hand"), "there is no command for another's table"


@pytest.mark.parametrize(
    "setting",
    [
        "virtual_alias_maps=inline:{users@app.test=users@app.test}",
        "virtual_alias_maps=inline:{users@app.test=staff@app.test}",
        "virtual_alias_maps=inline:{users@other.test=users@app.test}",
        "sender_canonical_maps=inline:{@other.test=me@provider.test}",
        "smtp_generic_maps=inline:{@app.test=@app.test}",
    ],
)
def test_what_leads_to_us_or_is_anothers_is_well(paper: Callable[..., Paper], setting: str) -> None:
    one = paper()
    one.has_routes(USERS)
    name, _, value = setting.partition("=")
    one.main[name] = value
    assert list(rewriting.findings(one.site())) == []


def test_the_next_hop_of_an_address(paper: Callable[..., Paper]) -> None:
    one = paper()
    assert rewriting.next_hop(one.site(), "x@app.test").next_hop == "lamson:inet:[127.0.0.1]:8823"
    one.main["transport_maps"] = "inline:{.test=a:b x@app.test=c:}"
    one.main["relay_transport"] = "relay:[hub]"
    assert rewriting.next_hop(one.site(), "x@app.test").next_hop == "c:[hub]"
    assert rewriting.next_hop(one.site(), "y@app.test").next_hop == "a:b"
    one.main["transport_maps"] = ""
    assert rewriting.next_hop(one.site(), "y@app.test").next_hop == "relay:[hub]"
