"""lamson.postfix.checks.limits: what nobody can work with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.topics import WORLDS, is_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper

ONE = (
    "lamson/unix=lamson unix - - n - 1 lmtp -o lmtp_send_xforward_command=yes"
    " -o lmtp_data_done_timeout=600s -o lmtp_rcpt_timeout=600s"
)


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("limit", ["-e", "maximal_queue_lifetime=0"]),
        ("limit", ["-P", "qmgr/unix/bounce_queue_lifetime=5m"]),
        ("limit", ["-e", "minimal_backoff_time=2d"]),
        ("limit", ["-P", f"{WORLDS}/smtpd_hard_error_limit=1"]),
        ("limit", ["-P", "lamson/unix/daemon_timeout=10s"]),
        (
            "too-few-processes",
            [
                "-M",
                ONE,
            ],
        ),
        ("too-few-processes", ["-e", "default_process_limit=1"]),
    ],
)
def test_it_is_named(paper: Callable[..., Paper], code: str, broken: list[str]) -> None:
    is_named(paper(), code, broken)
