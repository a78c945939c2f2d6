"""lamson.postfix.checks.overrides: a master.cf that overrides what a right main.cf says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.broken import is_named_and_mended
from tests.unit.postfix.paper import WORLD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    "override",
    [
        f"{WORLD}/inet/smtpd_forbid_bare_newline=no",
        f"{WORLD}/inet/smtpd_forbid_bare_newline_exclusions=0.0.0.0/0",
        f"{WORLD}/inet/relay_domains=other.test",
        "cleanup/unix/enable_long_queue_ids=no",
        "rewrite/unix/transport_maps=",
        "qmgr/unix/lamson_destination_concurrency_limit=1",
    ],
)
def test_it_is_named_and_its_cure_mends_it(paper: Callable[..., Paper], override: str) -> None:
    is_named_and_mended(paper(), "master-cf-override", ["-P", override])


def test_what_overrides_for_the_better_is_left(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run(
        "-P",
        f"{WORLD}/inet/message_size_limit=1000000",
        f"{WORLD}/inet/relay_domains=test,other.test",
        "lamson/unix/lmtp_data_done_timeout=1h",
        "127.0.0.1:10587/inet/message_size_limit=0",
    )
    assert one.findings() == []


@pytest.mark.parametrize(
    "override",
    [
        f"{WORLD}/inet/message_size_limit=0",
        f"{WORLD}/inet/message_size_limit=90000000",
        "rewrite/unix/transport_maps=inline:{other.test=smtp:}",
    ],
)
def test_what_a_service_has_for_others_is_not_taken_from_it(
    paper: Callable[..., Paper], override: str
) -> None:
    """Mail of 60 MB for others was taken there, and would be refused."""
    one = paper()
    one.run("-P", override)
    (finding,) = one.findings()
    assert finding.code == "master-cf-override"
    assert finding.fix.startswith("by hand: ")


def test_domains_of_others_stay_where_ours_are_added(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-P", f"{WORLD}/inet/relay_domains=other.test")
    (finding,) = one.findings()
    one.cure(finding)
    options = one.read().services[f"{WORLD}/inet"].options
    assert options["relay_domains"] == "other.test,app.test,lists.test"
