"""The sample filters, offered mail as Postfix does."""

from collections.abc import Callable

from lamson.testing import Conversation


def test_the_guest_book_takes_no_bounces(conversation: Callable[[str], Conversation]) -> None:
    zed = conversation("zed@example.com")
    offer = zed.offer("guestbook@test.com", "Undeliverable", "Sorry", sender="")
    assert str(offer.rcpt["guestbook@test.com"]).startswith("550 5.7.1")
    assert offer.queued is None


def test_shouting_is_noted(conversation: Callable[[str], Conversation]) -> None:
    zed = conversation("zed@example.com")
    offer = zed.offer("guestbook@test.com", "Hello", "WHAT IS THIS?")
    assert offer.refusal is None
    assert offer.queued is not None
    assert offer.queued["X-Shouting"] == "yes"

    asked = zed.say_queued(offer)
    assert asked is not None
    assert asked["Subject"] == "Please sign our guest book"
