"""lamson.postfix.checks.relaying: who may send to anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix.checks import relaying
from tests.unit.postfix.checks.broken import is_named_and_mended
from tests.unit.postfix.paper import WORLD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper

BROKEN: dict[str, tuple[list[str], str]] = {
    "the world is trusted": (["-e", "mynetworks=0.0.0.0/0"], "mynetworks-is-the-world"),
    "the world of IPv6": (["-e", "mynetworks=[::]/0"], "mynetworks-is-the-world"),
    "all are trusted": (["-e", "mynetworks=static:all"], "mynetworks-is-the-world"),
    "a service that permits all": (
        [
            "-M",
            "25/inet=25 inet n - n - - smtpd -o smtpd_relay_restrictions=permit"
            " -o smtpd_recipient_restrictions=permit",
        ],
        "open-relay-restrictions",
    ),
    "a service that trusts all": (
        ["-M", "25/inet=25 inet n - n - - smtpd -o mynetworks=0.0.0.0/0"],
        "mynetworks-is-the-world",
    ),
    "an open relay": (
        ["-e", "smtpd_relay_restrictions=permit", "smtpd_recipient_restrictions="],
        "open-relay-restrictions",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_it_is_named_and_its_cure_mends_it(paper: Callable[..., Paper], what: str) -> None:
    broken, code = BROKEN[what]
    is_named_and_mended(paper(), code, broken)


def test_who_is_trusted(paper: Callable[..., Paper]) -> None:
    """From there a probe shows nothing."""
    one = paper()
    one.run("-e", "mynetworks=!127.0.0.9 127.0.0.0/8 [fd00::]/64")
    site = one.site()
    found = {a: relaying.is_trusted(site, a, None) for a in ("127.0.0.1", "fd00::1")}
    assert found == {"127.0.0.1": True, "fd00::1": True}
    assert not relaying.is_trusted(site, "127.0.0.9", None)
    assert relaying.everybody(site, site.get("mynetworks")) == []
    assert not relaying.is_trusted(site, "127.0.0.1", site.services[f"{WORLD}/inet"])


def test_a_table_of_all_of_one_kind_is_everybody(paper: Callable[..., Paper]) -> None:
    one = paper()
    some, every = {"192.0.2.1": "OK"}, dict.fromkeys(("2001:db8::1", "3fff::1"), "OK")
    one.tables = {"cidr:/some": some, "cidr:/every": every}
    site = one.site()
    assert relaying.everybody(site, "cidr:/some, cidr:/every") == ["cidr:/every"]


PARTNERS = "check_client_access cidr:/etc/postfix/partners"


@pytest.mark.parametrize(
    ("relay", "recipient", "after"),
    [
        (
            f"permit_mynetworks, {PARTNERS}",
            "permit",
            "permit_sasl_authenticated, permit_mynetworks, check_client_access,"
            " cidr:/etc/postfix/partners, reject_unauth_destination",
        ),
        (
            "permit_mynetworks, permit_sasl_authenticated, check_sender_access static:OK",
            "",
            "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
        ),
        ("permit_mynetworks, permit", PARTNERS, None),
    ],
)
def test_whom_a_list_lets_in_before_it_is_closed_may_still_come_in(
    paper: Callable[..., Paper], relay: str, recipient: str, after: str | None
) -> None:
    """A gateway's customers relay by it."""
    one = paper()
    one.run("-e", f"smtpd_relay_restrictions={relay}", f"smtpd_recipient_restrictions={recipient}")
    found = [one for one in one.findings() if one.code == "open-relay-restrictions"]
    assert len(found) == 1
    if after is None:
        assert found[0].fix.startswith("by hand: end smtpd_relay_restrictions with ")
        return
    one.cure(found[0])
    assert one.value("smtpd_relay_restrictions") == after
    assert one.findings() == []


def test_a_service_keeps_what_it_has_of_its_own(paper: Callable[..., Paper]) -> None:
    one = paper()
    name = "smtpd_relay_restrictions"
    one.run("-P", f"{WORLD}/inet/{name}=permit_mynetworks,{PARTNERS.replace(' ', ',')}")
    (finding,) = one.findings()
    assert finding.code == "open-relay-restrictions"
    one.cure(finding)
    assert one.findings() == []
    assert PARTNERS.replace(" ", ",") in one.read().services[f"{WORLD}/inet"].options[name]


def test_networks_of_a_service_stay(paper: Callable[..., Paper]) -> None:
    one = paper()
    key, wide = f"{WORLD}/inet", "10.1.0.0/16,0.0.0.0/0,192.0.2.9,[::]/0"
    one.run("-P", f"{key}/mynetworks={wide}")
    for finding in one.findings():
        one.cure(finding)
    assert one.read().services[key].options["mynetworks"] == "10.1.0.0/16,192.0.2.9"
    assert one.findings() == []
