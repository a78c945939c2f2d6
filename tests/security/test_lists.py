"""Strangers and members who would have a list do what its people did not ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.storage import suppressed
from lamson.storage.suppressed import Suppressed
from tests.unit.lists import conftest as lists
from tests.unit.lists.conftest import USERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from lamson.testing import Conversation, Mailroom

mailroom, db, person = lists.mailroom, lists.db, lists.person

PROVEN = "mx.test.com; dmarc=pass header.from=example.com; dkim=pass header.d=example.com"


@pytest.mark.parametrize("what", ["subscribe", "leave"])
def test_a_program_that_sends_back_what_it_read_confirms_nothing(
    person: Callable[[str], Conversation], db: Session, what: str
) -> None:
    """Systems of tickets do, without a mark at the quotation or one that says what they are."""
    if what == "leave":
        USERS.add(db, "desk@example.com")
    desk = person("desk@example.com")
    asked = desk.say(f"users-{what}@test.com", "Hello")
    assert asked is not None
    assert "yes" in asked.body
    desk.say(asked["From"] or "", "Ticket 7", f"We have got your message:\n\n{asked.body}")
    assert USERS.exists(db) is (what == "leave")


def test_a_moderator_who_asks_back_decides_nothing(
    person: Callable[[str], Conversation], db: Session
) -> None:
    """His mail program quotes without a mark; and the subject is the stranger's."""
    USERS.add(db, "mod@example.com", moderator=True)
    subject = "=?utf-8?q?Hi=E2=80=A8approve=0D=0Aapprove=C2=85approve?="
    person("eve@example.com").deliver(
        "users@test.com",
        f"From: eve@example.com\r\nSubject: {subject}\r\nMessage-ID: <1@x>\r\n\r\nBuy".encode(),
    )
    moderator = person("mod@example.com")
    (asked,) = moderator.inbox
    moderator.say(asked["From"] or "", "Re: a message waits", f"Who is that?\n\n{asked.body}")
    assert len(USERS.held(db)) == 1
    assert [one["Subject"] for one in moderator.inbox] == ["users: a message waits"]


def test_what_an_owner_wrote_to_somebody_else_commands_nothing(
    mailroom: Mailroom, person: Callable[[str], Conversation], db: Session
) -> None:
    """Whoever has a mail of his, which he signed (DKIM), may send it on to the list's owner."""
    USERS.add(db, "ann@example.com", owner=True)
    replayed = (
        "From: ann@example.com\r\nTo: {to}\r\nSubject: How to\r\nMessage-ID: <{id}@x>\r\n"
        f"Authentication-Results: {PROVEN}\r\n\r\nadd eve@example.net\r\n"
    )
    eve, ann = person("eve@example.net"), person("ann@example.com")
    eve.deliver("users-owner@test.com", replayed.format(to="users@test.com", id=1).encode())
    assert USERS.member(db, "eve@example.net") is None
    assert ann.inbox[-1]["Subject"] == "users: mail to the owners"
    ann.deliver("users-owner@test.com", replayed.format(to="Users-Owner@test.com", id=2).encode())
    assert USERS.member(db, "eve@example.net") is not None


NAMES = (
    "=?utf-8?q?a=0D=0ABcc=3A_victim=40example=2Ecom?=",
    '"a\\"\\r\\nBcc: victim@example.com"',
    "=?utf-8?q?x=22_=3Cvictim=40example=2Ecom=3E=2C_=22?=",
    "=?utf-8?q?=00=E2=80=AE=C2=85?=",
    "=?utf-7?q?+AA0ACg-Bcc:_x?=",
    "=?utf-8?q?" + "=C3=A9" * 400 + "?=",
)


@pytest.mark.parametrize("host", ["example.com", "strict.test"])
def test_a_name_and_a_subject_put_no_field_into_a_post(
    person: Callable[[str], Conversation], db: Session, host: str
) -> None:
    """Of strict.test From is rewritten."""
    eve, ann = person(f"eve@{host}"), person("ann@example.com")
    for one in (f"eve@{host}", "ann@example.com"):
        USERS.add(db, one)
    for number, name in enumerate(NAMES):
        content = (
            f"From: {name} <eve@{host}>\r\nSubject: {name}\r\nMessage-ID: <{number}@x>\r\n\r\nText"
        )
        eve.deliver("users@test.com", content.encode())
        post = ann.inbox[-1].message
        assert post.message_id == f"<{number}@x>"
        assert "Bcc" not in post
        (author,) = post.from_
        assert author.address == ("users@test.com" if host == "strict.test" else f"eve@{host}")
        assert [one.address for one in post.reply_to] in ([], [f"eve@{host}"])


def test_no_author_has_readers_tell_him_who_they_are(
    person: Callable[[str], Conversation], db: Session
) -> None:
    for one in ("eve@example.com", "ann@example.com"):
        USERS.add(db, one)
    asking = "".join(
        f"{name}: eve@example.com\r\n"
        for name in ("Disposition-Notification-To", "return-receipt-to", "X-Confirm-Reading-To")
    )
    content = f"From: eve@example.com\r\nMessage-ID: <1@x>\r\n{asking}\r\nText"
    person("eve@example.com").deliver("users@test.com", content.encode())
    (post,) = person("ann@example.com").inbox
    assert post.body.strip() == "Text"
    assert not [name for name, _ in post.message.items() if name.lower() in asking.lower()]


def test_old_mail_of_somebody_does_not_have_him_written_to_again(
    mailroom: Mailroom, person: Callable[[str], Conversation]
) -> None:
    """Who complained is left alone, until he himself asks the list for its mail."""
    with mailroom.database.begin() as connection:
        suppressed.add(connection, Suppressed("zed@example.com", "", "complaint", "", 1.0))
    old = (
        "From: zed@example.com\r\nTo: {to}\r\nMessage-ID: <{to}>\r\n"
        f"Authentication-Results: {PROVEN}\r\n\r\nHello\r\n"
    )
    subscribe = "users-subscribe@test.com"
    person("eve@example.net").deliver(subscribe, old.format(to="eve@example.net").encode())
    assert not person("zed@example.com").inbox
    with mailroom.database.begin() as connection:
        assert [one.address for one in suppressed.listed(connection)] == ["zed@example.com"]
