"""lamson.postfix.checks.client: what the LMTP client does to mail on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.topics import is_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("lmtp-keyword-discarded", ["-P", "lamson/unix/lmtp_discard_lhlo_keywords=xforward, dsn"]),
        ("lmtp-breaks-lines", ["-P", "lamson/unix/lmtp_line_length_limit=80"]),
        ("lmtp-bind-address", ["-e", "lmtp_bind_address=192.0.2.9"]),
        ("transport-is-slowed-down", ["-e", "default_destination_rate_delay=1s"]),
        ("reply-is-changed", ["-e", "lmtp_reply_filter=static:550 no"]),
        ("limit", ["-P", "lamson/unix/lmtp_mail_timeout=1s"]),
    ],
)
def test_it_is_named(paper: Callable[..., Paper], code: str, broken: list[str]) -> None:
    is_named(paper(), code, broken)
