"""The server takes the mail it is there for, and no other."""

from collections.abc import Callable

import pytest
from lamson.testing import Conversation, Refused, Sent


def test_is_no_open_relay(conversation: Callable[[str], Conversation], sent: list[Sent]) -> None:
    spammer = conversation("spammer@example.com")
    with pytest.raises(Refused):
        spammer.say("victim@elsewhere.example", "Buy this", "now")
    assert sent == []
