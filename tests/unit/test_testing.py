"""lamson.testing; what a project's tests do with it is in tests/intro and in the skeleton."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lamson.testing import Conversation, Sent


def test_an_inbox_does_not_mind_capitals() -> None:
    message: Any = None
    answer = Sent("", ("zed@example.com",), message)
    mailroom: Any = SimpleNamespace(
        sent=[answer, Sent("", ("ann@example.com",), message)],
        deliver=lambda *mail, **options: [answer],
    )
    zed = Conversation(mailroom, "Zed@Example.com")
    assert zed.deliver("list@test.com", b"") is answer
    assert zed.inbox == [answer]
