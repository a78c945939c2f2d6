"""lamson.postfix.checks.milter: our filters are asked, and mail waits while they are down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.settings import Milter
from tests.unit.postfix.checks.broken import is_named_and_mended
from tests.unit.postfix.paper import WORLD, project

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.settings.model import Settings
    from tests.unit.postfix.paper import Paper

OURS = "{ inet:127.0.0.1:8825, default_action=tempfail }"
NAME = "smtpd_milters"
BARE = "smtpd_milters=inet:127.0.0.1:8825"


def filtering() -> Settings:
    return project(milter=Milter("127.0.0.1:8825", check_recipients=True))


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (["-e", "milter_default_action=accept", BARE], "smtpd_milters"),
        (
            ["-e", "milter_default_action=reject", "smtpd_milters={ inet:127.0.0.1:8825 }"],
            "smtpd_milters",
        ),
        (["-P", f"{WORLD}/inet/smtpd_milters="], "milter-switched-off"),
        (["-P", f"{WORLD}/inet/smtpd_milters=inet:127.0.0.1:1"], "milter-switched-off"),
        (
            ["-e", "smtpd_milters={ inet:127.0.0.1:8825, default_action = accept }, inet:x:1"],
            "smtpd_milters",
        ),
    ],
)
def test_it_is_named_and_its_cure_mends_it(
    paper: Callable[..., Paper], broken: list[str], code: str
) -> None:
    one = paper(filtering())
    assert one.value("smtpd_milters") == OURS
    is_named_and_mended(one, code, broken)


def test_what_a_service_asks_besides_stays(paper: Callable[..., Paper]) -> None:
    one = paper(filtering())
    one.run("-P", f"{WORLD}/inet/smtpd_milters=inet:127.0.0.1:1, {{ inet:x:2, a=b }}")
    (finding,) = one.findings()
    one.cure(finding)
    options = one.read().services[f"{WORLD}/inet"].options
    ours = OURS.replace(" ", "")  # postconf -P takes no blanks
    assert options["smtpd_milters"] == f"inet:127.0.0.1:1,{{inet:x:2,a=b}},{ours}"
    assert one.findings() == []


def test_what_the_site_does_without_other_filters_is_not_our_affair(
    paper: Callable[..., Paper],
) -> None:
    """A dead spam filter with accept let mail pass, and goes on doing so."""
    one = paper(filtering())
    one.run("-e", "milter_default_action=accept", "smtpd_milters=inet:127.0.0.1:1")
    assert one.apply()
    assert one.main["smtpd_milters"] == f"inet:127.0.0.1:1, {OURS}"
    assert one.main["milter_default_action"] == "accept"
    assert one.findings() == []


def test_a_service_that_lets_mail_pass_without_filters(paper: Callable[..., Paper]) -> None:
    one = paper(filtering())
    one.run("-P", f"{WORLD}/inet/milter_default_action=accept")
    assert one.findings() == [], "ours has an action of its own"
    one.run("-P", f"{WORLD}/inet/smtpd_milters=inet:127.0.0.1:1, inet:127.0.0.1:8825")
    (finding,) = one.findings()
    assert finding.code == "milter-default-action"
    assert finding.fix.startswith("by hand")


def test_our_milter_with_options_and_beside_others(paper: Callable[..., Paper]) -> None:
    one = paper(filtering())
    one.run("-e", "smtpd_milters={ inet:127.0.0.1:8825, connect_timeout=5s }, inet:x:1")
    one.run("-e", "milter_default_action=shutdown")
    assert one.findings() == []
    assert one.changes() == []


def test_a_filter_before_the_queue_keeps_messages_from_ours(paper: Callable[..., Paper]) -> None:
    """MILTER_README: with it milters have no access to header and body."""
    one = paper(project(milter=Milter("127.0.0.1:8825"), filters=["app.filters"]))
    one.run("-P", f"{WORLD}/inet/smtpd_proxy_filter=127.0.0.1:10024")
    (finding,) = one.findings()
    assert finding.code == "milter-switched-off"
    assert finding.fix.startswith("by hand: smtpd_milters of the service to which")


def test_recipients_are_checked_before_such_a_filter(paper: Callable[..., Paper]) -> None:
    one = paper(filtering())
    one.run("-P", f"{WORLD}/inet/smtpd_proxy_filter=127.0.0.1:10024")
    assert one.findings() == []


def test_milters_that_somebody_switched_off_stay_off(paper: Callable[..., Paper]) -> None:
    one = paper(filtering())
    name = f"{WORLD}/inet/receive_override_options"
    one.run("-P", f"{name}=no_milters")
    (finding,) = one.findings()
    one.cure(finding)
    assert one.findings() == []
    one.run("-e", f"smtpd_milters=inet:127.0.0.1:11332, {OURS}")
    one.run("-P", f"{name}=no_milters")
    (finding,) = one.findings()
    assert finding.fix.startswith("by hand: without no_milters ")
