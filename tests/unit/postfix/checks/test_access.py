"""lamson.postfix.checks.access: what bars the way of strangers to us, and of our answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.topics import OWN, WORLDS, is_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper

REJECTED = f"{WORLDS}/smtpd_recipient_restrictions=check_recipient_access"
CLOSED = f"{WORLDS}/smtpd_client_restrictions=permit_mynetworks, reject"
SENDERS = "smtpd_sender_restrictions=check_sender_access"


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("mail-is-refused", ["-P", f"{REJECTED} inline:{{app.test=REJECT}}"]),
        ("strangers-are-refused", ["-P", CLOSED]),
        ("mail-is-refused", ["-P", f"{OWN}/{SENDERS} inline:{{app.test=REJECT}}"]),
        ("mail-is-refused", ["-P", f"{OWN}/mynetworks=192.0.2.0/24"]),
        (
            "null-sender-to-several",
            ["-P", f"{OWN}/smtpd_data_restrictions=reject_multi_recipient_bounce"],
        ),
    ],
)
def test_it_is_named(paper: Callable[..., Paper], code: str, broken: list[str]) -> None:
    is_named(paper(), code, broken)
