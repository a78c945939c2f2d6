"""lamson.postfix.checks.restrictions: the lists of smtpd, gone through as it does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lamson.postfix.checks import restrictions
from lamson.postfix.checks.action import DEFERRED, HELD, REFUSED
from lamson.postfix.checks.restrictions import Transaction
from tests.unit.postfix.paper import WORLD

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.postfix.checks.restrictions import Verdict
    from tests.unit.postfix.paper import Paper

SMTPD = f"{WORLD}/inet"
STRANGER = Transaction(
    [("192.0.2.1",), ("203.0.113.1",)], ["mx.x.test"], ["zed@x.test"], "users@app.test", False
)
LIST = "smtpd_recipient_restrictions"


@pytest.fixture
def said(paper: Callable[..., Paper]) -> Callable[..., list[Verdict]]:
    """What a list has against a transaction, by the tables that are given."""

    def verdicts(listed: str, one: Transaction = STRANGER, **tables: str) -> list[Verdict]:
        own = paper()
        own.run("-P", f"{SMTPD}/{LIST}={listed}", f"{SMTPD}/smtpd_relay_restrictions=")
        own.main["smtpd_restriction_classes"] = own.defaults["smtpd_restriction_classes"] = "closed"
        own.main["closed"] = "check_recipient_access inline:{app.test=HOLD}"
        site = own.site()
        return list(restrictions.verdicts(site, site.services[SMTPD], one))

    return verdicts


@pytest.mark.parametrize(
    ("listed", "effects"),
    [
        ("check_recipient_access inline:{app.test=REJECT}", [REFUSED]),
        ("check_recipient_access inline:{users@=DEFER}", [DEFERRED]),
        ("check_recipient_access inline:{test=HOLD}, reject", [HELD]),
        ("check_recipient_access inline:{app.test=OK}, reject", []),
        ("check_recipient_access inline:{app.test=DUNNO}, reject", [REFUSED]),
        ("check_recipient_access inline:{app.test=closed}", [HELD]),
        ("closed", [HELD]),
        ("permit, closed", []),
        ("warn_if_reject reject, permit", []),
        ("warn_if_reject check_recipient_access inline:{app.test=REJECT}", []),
        ("check_sender_access inline:{x.test=REJECT}", [REFUSED]),
        ("check_client_access inline:{192.0.2=REJECT}", []),
        ("check_client_access static:REJECT", [REFUSED]),
        ("permit_mynetworks, reject", [REFUSED]),
        ("reject_unauth_destination, permit_auth_destination, reject", []),
        ("reject_rbl_client zen.test, check_policy_service unix:private/x", []),
        ("reject_non_fqdn_helo_hostname", []),
    ],
)
def test_what_a_list_has_against_a_stranger(
    said: Callable[..., list[Verdict]], listed: str, effects: list[object]
) -> None:
    assert [one.effect for one in said(listed)] == effects


def test_who_is_let_in_before(said: Callable[..., list[Verdict]]) -> None:
    trusted = replace(STRANGER, is_trusted=True)
    assert said("permit_mynetworks, reject", trusted) == []
    known = replace(STRANGER, is_authenticated=True)
    assert said("permit_sasl_authenticated, reject", known) == []
    relayed = replace(STRANGER, is_relayed=True, helos=["half"])
    assert len(said("reject_unauth_destination", relayed)) == 1
    assert len(said("reject_non_fqdn_helo_hostname", relayed)) == 1
    assert len(said("reject_plaintext_session")) == 1


def test_a_reject_for_all_is_told_from_one_after_a_choice(
    said: Callable[..., list[Verdict]],
) -> None:
    (one,) = said("permit_mynetworks, reject")
    assert one.is_of_all
    (one,) = said("check_client_access inline:{10.0.0.1=OK}, reject")
    assert not one.is_of_all


def test_a_table_is_named_with_what_it_was_asked(said: Callable[..., list[Verdict]]) -> None:
    (one,) = said("check_recipient_access inline:{app.test=REJECT}")
    assert (one.name, one.asked) == (LIST, "users@app.test")
    (one,) = said("check_client_access static:REJECT")
    assert one.asked == "everybody"
