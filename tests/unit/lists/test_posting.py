"""lamson.lists.posting and .passing: who may post, who gets it, and what it looks like then."""

from __future__ import annotations

import sys
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from lamson.delivery import fanout
from lamson.lists import MailingList, known_lists
from tests.unit.lists.conftest import USERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from lamson.testing import Conversation, Mailroom, Sent


MEMBERS = ("ann@example.com", "bob@example.com", "Carl@example.org")


@pytest.fixture
def handlers(mailroom: Mailroom) -> Any:
    (name,) = mailroom.application.settings.handlers
    return sys.modules[name]


@pytest.fixture
def ann(db: Session, person: Callable[[str], Conversation]) -> Conversation:
    for one in MEMBERS:
        USERS.add(db, one)
    return person("ann@example.com")


def who(sent: list[Sent]) -> list[str]:
    return [one for mail in sent for one in mail.recipients]


def mail(*header: str, body: str = "Hello\r\n") -> bytes:
    fields = "\r\n".join(header)
    return f"Message-ID: <1@example.com>\r\n{fields}\r\n\r\n{body}".encode()


def test_a_post_goes_to_each_member_as_it_came(ann: Conversation, mailroom: Mailroom) -> None:
    raw = mail("From: ann@example.com", "To: users@test.com", "DKIM-Signature: v=1; b=x")
    ann.deliver("users@test.com", raw)
    assert who(mailroom.sent) == list(MEMBERS)
    for sent in mailroom.sent:
        assert sent.message.raw.endswith(raw)
        assert sent.sender.startswith("bounces+")
        assert sent.sender.endswith("@test.com")
        assert sent["List-Id"] == '"users" <users.test.com>'
        assert sent["List-Post"] == "<mailto:users@test.com>"
        assert sent["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        left = sent["List-Unsubscribe"] or ""
        assert left.startswith("<https://lists.test.com/leave/")
        assert "<mailto:users+" in left
    assert len({sent["List-Unsubscribe"] for sent in mailroom.sent}) == 3
    assert len({sent.sender for sent in mailroom.sent}) == 3


def test_nobody_who_is_named_gets_it_but_who_wants_that(ann: Conversation, db: Session) -> None:
    raw = mail("From: ann@example.com", "To: users@test.com, BOB@example.com",
               "Cc: carl@example.org, users@test.com")  # fmt: skip
    USERS.change(db, "carl@example.org", copies=True)
    USERS.change(db, "ann@example.com", own_posts=False)
    ann.deliver("users@test.com", raw)
    assert who(ann._mailroom.sent) == ["Carl@example.org"]
    ann.deliver("users@test.com", raw)
    assert len(ann._mailroom.sent) == 1, "the list in its own Cc, or sent twice"


def test_each_of_two_lists_posts_its_own(ann: Conversation, db: Session) -> None:
    MailingList("other@test.com").add(db, "bob@example.com")
    MailingList("other@test.com").add(db, "ann@example.com")
    raw = mail("From: ann@example.com", "To: users@test.com, other@test.com")
    for address in ("users@test.com", "other@test.com"):
        ann.deliver(address, raw)
    sent = [one for one in ann._mailroom.sent if one.recipients == ("bob@example.com",)]
    assert [one["List-Id"] for one in sent] == [
        '"users" <users.test.com>',
        '"other" <other.test.com>',
    ]


def test_a_loop_of_two_lists_ends(ann: Conversation, db: Session, handlers: Any) -> None:
    """Each is on the other: a post comes back once, and is known."""
    other = MailingList("other@test.com")
    other.add(db, "users@test.com")
    other.change(db, "users@test.com", copies=True)
    other.add(db, "ann@example.com")
    USERS.add(db, "other@test.com")
    mailroom = ann._mailroom
    for address in ("users@test.com", "other@test.com"):
        handlers.OPTIONS[address] = {"posts_from": "anyone"}
    ann.say("users@test.com", "Hello", "all")
    for _ in range(5):
        for one in list(mailroom.sent):
            for address in one.recipients:
                if address.endswith("@test.com"):
                    mailroom.sent.remove(one)
                    mailroom.deliver(one.sender, address, one.message.raw)
    assert handlers.RESULTS == ["posted", "posted", "dropped"]
    people = [one for one in who(mailroom.sent) if not one.endswith("@test.com")]
    assert sorted(people) == sorted(("ann@example.com", *MEMBERS))


@pytest.mark.parametrize(
    "fields",
    [
        ("Auto-Submitted: auto-replied",),
        ("X-BeenThere: Users@test.com",),
        ("Subject: Automatic reply: away",),
    ],
)
def test_what_a_program_answers_goes_nowhere(
    fields: tuple[str, ...], ann: Conversation, handlers: Any
) -> None:
    ann.deliver("users@test.com", mail("From: ann@example.com", *fields))
    assert handlers.RESULTS == ["dropped"]
    assert ann._mailroom.sent == []


def test_from_is_rewritten_where_the_domain_would_refuse(
    ann: Conversation, db: Session, person: Callable[[str], Conversation]
) -> None:
    USERS.add(db, "eve@strict.test")
    raw = mail('From: "Eve, A." <eve@strict.test>', "DKIM-Signature: v=1; b=x")
    person("eve@strict.test").deliver("users@test.com", raw)
    sent = ann._mailroom.sent[0]
    assert sent["From"] == '"Eve, A. via users" <users@test.com>'
    assert sent.message.reply_to[0].address == "eve@strict.test"
    assert sent["X-Original-From"] == '"Eve, A." <eve@strict.test>'
    assert sent["DKIM-Signature"] is None


@pytest.mark.parametrize(
    ("kind", "is_put"),
    [
        ("text/plain; charset=utf-8", True),
        ("text/html", False),
        ('multipart/signed; boundary="b"', False),
        ("application/pkcs7-mime", False),
        ("text/calendar; method=REQUEST", False),
    ],
)
def test_tag_and_footer(kind: str, is_put: bool, ann: Conversation, handlers: Any) -> None:
    """A footer is put below plain text alone; what that breaks is taken off."""
    handlers.OPTIONS["users@test.com"] = {"subject_tag": "[users]", "footer": "Be kind."}
    body = "--b\r\n\r\nsigned\r\n--b--\r\n"
    raw = mail(
        "From: ann@example.com", f"Content-Type: {kind}", "Subject: Hi",
        "DKIM-Signature: b=x", body=body,
    )  # fmt: skip
    ann.deliver("users@test.com", raw)
    sent = ann._mailroom.sent[0]
    assert sent["Subject"] == "[users] Hi"
    assert sent["DKIM-Signature"] is None
    assert sent.message.raw.endswith(f"{body}-- \r\nBe kind.\r\n".encode()) is is_put
    assert is_put or sent.message.raw.endswith(body.encode())


def test_pgp_in_the_text_is_never_altered(ann: Conversation, handlers: Any) -> None:
    handlers.OPTIONS["users@test.com"] = {"footer": "Be kind."}
    body = "-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nHi\r\n"
    ann.deliver("users@test.com", mail("From: ann@example.com", body=body))
    assert ann._mailroom.sent[0].message.raw.endswith(body.encode())


def test_what_is_too_large_or_of_nobody_is_refused(ann: Conversation, handlers: Any) -> None:
    handlers.OPTIONS["users@test.com"] = {"max_size": 1000}
    ann.say("users@test.com", "Big", "x" * 2000)
    ann.deliver("users@test.com", mail("To: users@test.com"))
    assert handlers.RESULTS == ["refused", "refused"]
    big, nobody = ann._mailroom.sent
    assert "the list takes 1000" in big.body
    assert "who wrote it" in nobody.body
    assert {big.sender, nobody.sender} == {""}


def test_a_from_that_nothing_agrees_with_is_held(ann: Conversation, handlers: Any) -> None:
    ann.deliver("users@test.com", mail("From: ann@example.com"), sender="spam@elsewhere.test")
    assert handlers.RESULTS == ["held"]


def test_addresses_in_any_spelling(
    ann: Conversation, db: Session, person: Callable[[str], Conversation]
) -> None:
    USERS.add(db, "ÜLI@bücher.example")
    USERS.add(db, "DORA@EXAMPLE.COM")
    assert USERS.member(db, "üli@xn--bcher-kva.example") is not None
    person("Dora@example.com").say("users@test.com", "Hello")
    assert len(ann._mailroom.sent) == 5
    (uli,) = (one for one in ann._mailroom.sent if not one.recipients[0].isascii())
    assert uli.recipients == ("ÜLI@bücher.example",)


def test_the_pieces_of_a_post_share_one_content(
    ann: Conversation, db: Session, mailroom: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A piece is one transaction; each has the content by reference, and some octets of its own."""
    monkeypatch.setattr(fanout, "PIECE", 2)
    outbox = mailroom.application.outbox
    assert outbox is not None
    monkeypatch.setattr(outbox, "delete", lambda ids: None)
    for number in range(5):
        USERS.add(db, f"m{number}@example.net")
    ann.say("users@test.com", "Hello", "x" * 2000)
    assert len(mailroom.sent) == 2
    USERS.add(db, "late@example.net")
    USERS.remove(db, "m3@example.net")
    mailroom.wait()
    expected = [*MEMBERS, *(f"m{number}@example.net" for number in (0, 1, 2, 4))]
    assert who(mailroom.sent) == expected
    rows = db.execute(text("SELECT shared, length(content), id FROM lamson_outbox")).all()
    assert len(rows) == 7
    assert len({row[0] for row in rows}) == 1
    assert all(0 < row[1] < 400 for row in rows)
    assert db.execute(text("SELECT count(*) FROM lamson_content")).scalar() == 1
    assert db.execute(text("SELECT shared FROM lamson_list_posts")).scalar() == 0
    whole = outbox.content(rows[0][2]) or b""
    assert BytesHeaderParser().parsebytes(whole)["List-Unsubscribe"]
    assert whole == mailroom.sent[0].message.raw
    claimed = _claimed(mailroom, db)
    assert claimed == {one.message.raw for one in mailroom.sent}


def _claimed(mailroom: Mailroom, db: Session) -> set[bytes]:
    """What another process would submit."""
    db.execute(text("UPDATE lamson_outbox SET lease_until = 0, lease_owner = ''"))
    db.commit()
    outbox = mailroom.application.outbox
    assert outbox is not None
    return {row.octets for row in outbox.claim(100)}


def test_a_content_under_way_is_not_purged(
    ann: Conversation, mailroom: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "PIECE", 1)
    ann.say("users@test.com", "Hello")
    assert mailroom.application.outbox is not None
    mailroom.application.outbox.purge()
    mailroom.wait()
    assert who(mailroom.sent) == list(MEMBERS)


def test_the_archive(ann: Conversation, db: Session) -> None:
    for number in range(3):
        ann.say("users@test.com", f"Post {number}", "text")
    newest, older = USERS.posts(db, most=2)
    assert (newest.subject, older.subject) == ("Post 2", "Post 1")
    assert newest.message.body == "text\n"
    assert newest.message["List-Unsubscribe"] is None
    assert [one.subject for one in USERS.posts(db, before=older.id)] == ["Post 0"]
    assert USERS.archived(db, older.id) == older
    assert MailingList("other@test.com").archived(db, older.id) is None


def test_the_lists_that_there_are(db: Session) -> None:
    assert known_lists(db) == []
    for address in ("Users@test.com", "other@test.com"):
        MailingList(address).add(db, "ann@example.com")
    assert known_lists(db) == ["other@test.com", "users@test.com"]
    assert USERS.exists(db)


def test_a_list_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="32 octets"):
        MailingList("x" * 33 + "@test.com")
    with pytest.raises(ValueError, match="without"):
        MailingList("a+b@test.com")
    with pytest.raises(ValueError, match="https"):
        MailingList("a@test.com", one_click="http://test.com/")
