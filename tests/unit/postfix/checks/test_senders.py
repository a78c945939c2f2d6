"""lamson.postfix.checks.senders: rules of who may send as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.topics import OWN, is_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        (
            "submission-sender",
            [
                "-P",
                f"{OWN}/smtpd_sender_restrictions=reject_sender_login_mismatch",
                f"{OWN}/smtpd_sender_login_maps=inline:{{@app.test=ann}}",
            ],
        ),
        (
            "submission-wants-known-senders",
            ["-P", f"{OWN}/smtpd_sender_restrictions=reject_unlisted_sender"],
        ),
        ("submission-wants-known-senders", ["-P", f"{OWN}/smtpd_reject_unlisted_sender=yes"]),
    ],
)
def test_it_is_named(paper: Callable[..., Paper], code: str, broken: list[str]) -> None:
    is_named(paper(), code, broken)
