"""lamson.postfix.advice: limits that are everybody's. Ours follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import advice, known
from lamson.routing.signing import Signed
from lamson.settings import Lmtp, Milter, Socketmap
from tests.unit.postfix.paper import project

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("limit", "fix"),
    [
        (
            "104857600",
            "raise lmtp.max_size to 105916768 in config/settings.py, then lamson",
        ),
        ("0", "by hand: give message_size_limit a value"),
        ("10M", "by hand: message_size_limit '10M' is no number"),
    ],
)
def test_our_limit_of_size_follows_the_sites(
    paper: Callable[..., Paper], limit: str, fix: str
) -> None:
    one = paper()
    one.run("-e", f"message_size_limit={limit}")
    (finding,) = one.findings()
    assert finding.code == "message_size_limit"
    assert finding.fix.startswith(fix)
    assert one.changes() == []


def test_what_is_advised_is_enough_and_no_more(paper: Callable[..., Paper]) -> None:
    one = paper()
    for largest, count in ((10_343_435, 0), (10_343_433, 1)):
        one.settings = project(lmtp=Lmtp("127.0.0.1:8823", max_size=largest))
        assert len(list(advice.findings(one.site()))) == count, largest


def test_addresses_beyond_ascii_are_the_sites_affair(paper: Callable[..., Paper]) -> None:
    one = paper()
    assert list(advice.remarks(one.site())) == []
    one.run("-e", "smtputf8_enable=no")
    assert len(list(advice.remarks(one.site()))) == 1
    assert (one.findings(), one.changes()) == ([], [])


def test_a_postfix_that_nobody_else_reaches_is_worth_a_remark(paper: Callable[..., Paper]) -> None:
    one = paper()
    assert list(advice.remarks(one.site())) == [], "a service with an address of its own"
    one.run("-M", "smtp/inet=smtp inet n - n - - smtpd")
    for value, count in (("loopback-only", 1), ("127.0.0.1, [::1]", 1), ("all", 0)):
        one.run("-e", f"inet_interfaces={value}")
        assert len(list(advice.remarks(one.site()))) == count, value


def test_verification_that_puts_off_is_worth_a_remark(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "unverified_recipient_reject_code=450")
    restrictions = "reject_unauth_destination, reject_unverified_recipient"
    one.run("-e", f"smtpd_recipient_restrictions={restrictions}")
    [remark] = {text.partition(" at ")[0] for text in advice.remarks(one.site())}
    assert remark == "reject_unverified_recipient answers 450"
    assert one.findings() == []
    one.run("-e", f"smtpd_recipient_restrictions=reject_unlisted_recipient, {restrictions}")
    assert list(advice.remarks(one.site())) == []


def test_tables_do_not_know_what_was_signed(paper: Callable[..., Paper]) -> None:
    one = paper()
    formats = r"plain@app\.test", r"ok-(token)@app\.test"
    one.has_routes(*formats, token=Signed("ok"))
    assert known.addresses(one.site()) == ["plain@app.test"], "what is made up was not signed"
    assert list(advice.remarks(one.site())) == []
    one.settings = project(socketmap=Socketmap(""))
    (remark,) = advice.remarks(one.site())
    assert remark.startswith(r"ok-(token)@app\.test has a signed capture, and Postfix reads tables")
    one.settings = project(socketmap=Socketmap(""), milter=Milter(check_recipients=True))
    assert list(advice.remarks(one.site())) == []
