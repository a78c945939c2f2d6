"""lamson.postfix.recipients: the list as it should be, for what stands there. On a real smtpd:
tests/postfix/test_neighbours.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import recipients

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper

OURS = "socketmap:inet:127.0.0.1:8824:recipient"
FILTER = r"regexp:{{/^(.*@(app\.test|lists\.test))$$/ $$1}}"
BEHIND = f"pipemap:{{{FILTER}, {OURS}}}"
OPEN = r"regexp:{{!/([@.]app\.test|[@.]lists\.test)$$/ OK}}"
THEIRS = r"pipemap:{regexp:{{/^(.*@their\.test)$$/ $$1}}, socketmap:inet:127.0.0.1:1:recipient}"


def listed(one: Paper) -> str:
    """What `apply` makes of it; a second time it makes nothing of it."""
    one.apply()
    assert one.changes() == []
    assert one.findings() == []
    return one.main["relay_recipient_maps"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{OPEN}, {BEHIND}"),
        ("hash:/x, hash:/y", f"hash:/x, hash:/y, {BEHIND}"),
        ("hash:$config_directory/x", f"hash:$config_directory/x, {BEHIND}"),
        (OURS, f"{OPEN}, {BEHIND}"),
        (f"proxy:{OURS}", f"{OPEN}, proxy:{BEHIND}"),
        (f"hash:/x, {OURS}", f"hash:/x, {BEHIND}"),
        (BEHIND.replace(r"app\.test|", ""), f"{OPEN}, {BEHIND}"),
        (r"regexp:{{!/[@.]their\.test$$/ OK}}", "OTHERS"),
        (rf"regexp:{{{{!/[@.]their\.test$$/ OK}}}}, {THEIRS}", f"OTHERS, {THEIRS}"),
        (f"{OPEN}, {OURS}", f"{OPEN}, {BEHIND}"),
    ],
)
def test_others_have_relay_domains(paper: Callable[..., Paper], before: str, after: str) -> None:
    one = paper()
    is_there = "8824" in before or "hash" in before
    domains = "app.test, lists.test, their.test" if is_there else "their.test"
    one.run("-e", f"relay_recipient_maps={before}", f"relay_domains={domains}")
    others = r"regexp:{{!/([@.]their\.test|[@.]app\.test|[@.]lists\.test)$$/ OK}}"
    if "OTHERS" in after:
        after = f"{after.replace('OTHERS', others)}, {BEHIND}"
    assert listed(one) == after


@pytest.mark.parametrize("before", [OURS, f"proxy:{OURS}", f"hash:/x, {OURS}", BEHIND])
def test_a_line_of_before_where_there_is_nobody_else(
    paper: Callable[..., Paper], before: str
) -> None:
    one = paper()
    one.run("-e", f"relay_recipient_maps={before}")
    assert one.changes() == []
    assert one.findings() == []


def test_what_is_below_our_domain_stays_whose_it_was(paper: Callable[..., Paper]) -> None:
    """relay_domains has it with its parent."""
    one = paper()
    one.run("-e", "relay_recipient_maps=", "relay_domains=test")
    assert r"!/(@app\.test|@lists\.test)$$/" in listed(one)


def test_a_table_of_domains_that_are_all_ours(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.tables["hash:/domains"] = {"app.test": "x", "lists.test": "x"}
    one.run("-e", f"relay_recipient_maps={OURS}", "relay_domains=hash:/domains")
    assert one.changes() == []
    one.tables["hash:/domains"]["their.test"] = "x"
    assert listed(one).startswith(OPEN)


def test_an_older_postfix_has_them_in_files(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "relay_recipient_maps=", f"config_directory={one.directory}")
    one.run("-e", "mail_version=3.5.25", "relay_domains=their.test")
    directory = one.directory / recipients.DIRECTORY
    assert listed(one) == (
        f"regexp:{directory}/others, pipemap:{{regexp:{directory}/app.test, {OURS}}}"
    )
    assert r"!/([@.]app\.test|[@.]lists\.test)$/ OK" in (directory / "others").read_text()
    (directory / "app.test").unlink()
    assert [change.name for change in one.changes()] == [f"{directory}/app.test"]
    listed(one)
    one.has_routes(r".+@(?:lists|app|new)\.test")
    listed(one)
    assert r"(app\.test|lists\.test|new\.test)" in (directory / "app.test").read_text()
    assert r"[@.]new\.test" in (directory / "others").read_text()


def test_whom_a_silent_map_is_asked_about(paper: Callable[..., Paper]) -> None:
    site = paper().site()
    assert recipients.is_asked_for_us(site, BEHIND)
    assert recipients.is_asked_for_us(site, OURS)
    assert not recipients.is_asked_for_us(site, THEIRS)
