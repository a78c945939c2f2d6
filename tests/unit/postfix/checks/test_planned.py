"""lamson.postfix.checks.planned: what `plan` would change is named, and its cure mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.broken import is_named_and_mended

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper

BROKEN: dict[str, tuple[list[str], str]] = {
    "our domains are not known": (["-e", "relay_domains=other.test"], "relay_domains"),
    "recipients are not known": (["-X", "relay_recipient_maps"], "relay_recipient_maps"),
    "no transport": (["-X", "transport_maps"], "transport_maps"),
    "another transport first": (
        ["-e", "transport_maps=inline:{app.test=smtp:[192.0.2.1] other.test=smtp:x}"],
        "transport_maps",
    ),
    "no xforward": (
        ["-P", "lamson/unix/lmtp_send_xforward_command=no"],
        "lmtp_send_xforward_command",
    ),
    "short queue ids": (["-e", "enable_long_queue_ids=no"], "enable_long_queue_ids"),
    "smuggling": (["-e", "smtpd_forbid_bare_newline=no"], "smtpd_forbid_bare_newline"),
    "everybody excused": (
        ["-e", "smtpd_forbid_bare_newline_exclusions=0.0.0.0/0"],
        "smtpd_forbid_bare_newline_exclusions",
    ),
    "a time that is none": (
        ["-P", "lamson/unix/lmtp_data_done_timeout=10x"],
        "lmtp_data_done_timeout",
    ),
    "too impatient for handlers": (
        ["-P", "lamson/unix/lmtp_data_done_timeout=60s"],
        "lmtp_data_done_timeout",
    ),
    "too impatient for RCPT": (["-P", "lamson/unix/lmtp_rcpt_timeout=5s"], "lmtp_rcpt_timeout"),
    "too many connections": (
        ["-e", "lamson_destination_concurrency_limit=5000"],
        "lamson_destination_concurrency_limit",
    ),
    "too many recipients": (
        ["-e", "lamson_destination_recipient_limit=5000"],
        "lamson_destination_recipient_limit",
    ),
    "no transport of ours": (["-MX", "lamson/unix"], "lamson"),
    "no submission": (["-MX", "127.0.0.1:10587/inet"], "127.0.0.1:10587"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_it_is_named_and_its_cure_mends_it(paper: Callable[..., Paper], what: str) -> None:
    broken, code = BROKEN[what]
    is_named_and_mended(paper(), code, broken)


def test_what_apply_leaves_alone_says_so(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "enable_long_queue_ids=$soft_bounce")
    (finding,) = one.findings()
    assert finding.fix == (
        "by hand, as apply leaves it to you: the value has a $ macro; change it by hand"
    )
