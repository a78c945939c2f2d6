"""The server takes the mail it is there for, and no other."""

from collections.abc import Callable

import pytest
from lamson.testing import Conversation, Refused, Sent


def test_is_no_open_relay(conversation: Callable[[str], Conversation], sent: list[Sent]) -> None:
    spammer = conversation("spammer@example.com")
    with pytest.raises(Refused):
        spammer.say("victim@elsewhere.example", "Buy this", "now")
    assert sent == []

    # Nor does it answer whom a spammer names: From is free text.
    victim = conversation("victim@elsewhere.example")
    for _ in range(2):
        victim.say("guestbook@test.com", "Buy this", "now", sender="spammer@example.com")
    victim.say("guestbook-0123@test.com", "Buy this", "now", sender="spammer@example.com")
    assert victim.inbox == []


def test_forwards_mail(conversation: Callable[[str], Conversation], sent: list[Sent]) -> None:
    me = conversation("me@mydomain.com")
    me.say("test@test.com", "My test.", "Hi there.")
    [forwarded] = sent
    assert forwarded.sender == "test@test.com"  # where it bounces to; From is as it was
    assert forwarded["From"] == "me@mydomain.com"
    assert forwarded.recipients == ("test@test.com",)
    assert forwarded["Subject"] == "My test."
