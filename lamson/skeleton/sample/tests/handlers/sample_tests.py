"""A conversation with the guest book."""

from collections.abc import Callable

from lamson.testing import Conversation
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.model import Entry


def test_signing_the_guest_book(conversation: Callable[[str], Conversation], db: Session) -> None:
    zed = conversation("zed@example.com")

    asked = zed.say("guestbook@test.com", "Hello", "What is this?")
    assert asked is not None
    assert asked["Subject"] == "Please sign our guest book"

    thanked = zed.say(asked["From"] or "", "Re: Hello", "Zed was here.\n\n> Hello,")
    assert thanked is not None
    assert "* Zed was here." in thanked.body
    assert db.scalars(select(Entry.words)).all() == ["Zed was here."]
