"""lamson.postfix.plan: what has to change, and what is well as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import plan
from lamson.settings import Lmtp, Submission
from tests.unit.postfix.paper import project

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("exclusions", "is_well"),
    [
        ("", True),
        ("192.0.2.7, [2001:db8::7]", True),
        ("$mynetworks", False),
        ("192.0.2.0/24", False),
        ("127.0.0.1", False),
        ("cidr:/etc/postfix/legacy", False),
    ],
)
def test_who_is_excused_from_the_rule_of_newlines(
    paper: Callable[..., Paper], exclusions: str, *, is_well: bool
) -> None:
    one = paper()
    assert one.main["smtpd_forbid_bare_newline_exclusions"] == ""
    one.run("-e", f"smtpd_forbid_bare_newline_exclusions={exclusions}")
    assert (one.changes() == []) == is_well
    one.apply()
    assert one.changes() == []


@pytest.mark.parametrize(
    ("workers", "limit", "wanted"), [(1, "20", None), (4, "20", "32"), (200, "20", "1000")]
)
def test_there_are_as_many_connections_as_threads(
    paper: Callable[..., Paper], workers: int, limit: str, wanted: str | None
) -> None:
    one = paper()
    one.settings = project(workers=workers, threads=8)
    one.run("-e", f"lamson_destination_concurrency_limit={limit}")
    assert [change.after for change in one.changes()] == ([wanted] if wanted else [])
    one.apply()
    assert one.findings() == []


def test_a_map_that_answers_well_already_is_left_alone(paper: Callable[..., Paper]) -> None:
    one, own = paper(), "texthash:/etc/postfix/own"
    hop = "lamson:inet:[127.0.0.1]:8823"
    one.tables[own] = {"app.test": hop, "lists.test": hop}
    one.run("-e", f"transport_maps={own}")
    assert one.changes() == []
    one.tables[own]["app.test"] = "smtp:elsewhere"
    (change,) = one.changes()
    assert change.after.endswith(f"}}, {own}"), "ours has to come first"


def test_a_map_that_has_any_address(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "transport_maps=static:smtp:x")
    hop = "lamson:inet:[127.0.0.1]:8823"
    mine = f"regexp:{{{{/^(.*@)?(app\\.test|lists\\.test)$$/ {hop}}}}}"
    assert [change.after for change in one.changes()] == [f"{mine}, static:smtp:x"]
    assert one.apply()
    assert one.findings() == []
    one.settings = project(lmtp=Lmtp("127.0.0.1:9999"))
    (change,) = one.changes()
    assert change.after == f"{mine.replace('8823', '9999')}, static:smtp:x", "the old one is gone"


def test_relay_domains_that_lack_one(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "relay_domains=app.test, .test2")
    assert [change.after for change in one.changes()] == ["app.test, .test2, lists.test"]
    one.run("-e", "relay_domains=!lists.test, test")
    (change,) = one.changes()
    assert "!lists.test in it leaves lists.test out" in change.doubt


def test_a_domain_without_its_parents(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "parent_domain_matches_subdomains=", "relay_domains=test")
    assert [change.after for change in one.changes()] == ["test, app.test, lists.test"]
    one.run("-e", "relay_domains=.test")
    assert one.changes() == []


def test_our_own_socketmap_of_domains(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", f"relay_domains=proxy:{one.settings.lookup('domain')}")
    assert one.changes() == []


def test_the_next_hop_by_other_ways(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-X", "transport_maps")
    one.run("-e", "relay_transport=lamson:127.0.0.1:8823")
    assert one.findings() == []
    one.run("-e", "relay_transport=lamson:inet:127.0.0.1:8824")
    assert one.codes() == ["transport_maps"]


def test_submission_at_the_loopback_of_ipv6(paper: Callable[..., Paper]) -> None:
    one = paper(project(submission=Submission("[::1]:10587")))
    service = one.read().services["[::1]:10587/inet"]
    assert service.options["mynetworks"] == "127.0.0.0/8,[::1]/128"
    assert one.findings() == []


def test_localhost_is_one_address_with_its_numbers(paper: Callable[..., Paper]) -> None:
    one = paper(project(submission=Submission("localhost:10587")))
    one.settings = project()
    assert one.changes() == []


def test_another_service_that_has_the_address(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-M", "127.0.0.1:10587/inet=127.0.0.1:10587 inet n - n - - qmqpd")
    (change,) = one.changes()
    assert (change.file, change.doubt) == (
        "master.cf", "another service, qmqpd, has this address",
    )  # fmt: skip


def test_a_list_keeps_its_macros(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "relay_domains=$mydestination other.test", "transport_maps=$virtual_maps hash:/x")
    one.run("-e", "virtual_maps=hash:/a, hash:/b", "relay_recipient_maps=$virtual_maps")
    after = {change.name: change.after for change in one.changes()}
    assert after["relay_domains"] == "$mydestination, other.test, app.test, lists.test"
    assert after["transport_maps"].startswith("$virtual_maps, hash:/x, inline:")
    assert after["relay_recipient_maps"].startswith("$virtual_maps, pipemap:")
    assert one.apply()
    assert one.findings() == []


def test_what_a_list_is_without_a_word_of_main_cf_stays_in_it(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-X", "relay_domains")
    one.run("-e", "mydestination=example.test")
    one.defaults["relay_domains"] = "$mydestination"
    after = {change.name: change.after for change in one.changes()}
    assert after["relay_domains"] == "$mydestination, app.test, lists.test"


def test_a_macro_is_in_doubt_and_postfixs_own_default_is_not(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "enable_long_queue_ids=$soft_bounce")
    (change,) = one.changes()
    assert change.doubt == "the value has a $ macro; change it by hand"
    assert "# not done by apply" in str(change)


def test_chosen_lines_bring_their_tables_and_what_needs_others_is_in_doubt(
    paper: Callable[..., Paper],
) -> None:
    one = paper()
    for name in ("relay_domains", "relay_recipient_maps", "transport_maps"):
        one.run("-X", name)
    one.run("-e", "mail_version=3.5.25")
    site, changes = one.site(), one.changes()
    assert plan.chosen(site, changes, []) == changes
    maps = plan.chosen(site, changes, ["relay_recipient_maps"])
    tables = [change.name for change in maps if change.file == plan.TABLE]
    assert len(tables) == 2, "else the line would name what is not there"
    assert not any(change.doubt for change in maps)
    (alone,) = plan.chosen(site, changes, ["relay_domains"])
    assert alone.doubt.startswith("relay_recipient_maps and transport_maps has to be changed")
    three = ["relay_domains", "relay_recipient_maps", "transport_maps"]
    assert not any(change.doubt for change in plan.chosen(site, changes, three))
    assert plan.chosen(site, changes, ["relay_domain"]) == []
