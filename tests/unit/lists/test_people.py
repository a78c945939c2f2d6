"""lamson.lists: joining, leaving, moderators, owners, bounces and digests, by mail."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from lamson.lists import MailingList, memberships
from lamson.storage import lists
from lamson.testing import Refused
from tests.unit.lists.conftest import USERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from lamson.testing import Conversation, Mailroom, Sent


@pytest.fixture
def handlers(mailroom: Mailroom) -> Any:
    (name,) = mailroom.application.settings.handlers
    return sys.modules[name]


def join(one: Conversation) -> Sent:
    asked = one.say("users-subscribe@test.com", "Subscribe")
    assert asked is not None
    assert asked["Subject"] == "Please confirm"
    welcome = one.say(asked["From"] or "", "Re: Please confirm", "Yes\n\n> Somebody")
    assert welcome is not None
    assert welcome["Subject"] == "Welcome"
    return asked


def subject(answer: Sent | None) -> str | None:
    return None if answer is None else answer["Subject"]


# Joining and leaving


def test_who_confirms_is_on_the_list(person: Callable[[str], Conversation], db: Session) -> None:
    zed = person("ZED@example.com")
    asked = join(zed)
    (member,) = USERS.members(db)
    assert (member.address, member.status, member.mode) == ("ZED@example.com", "active", "mail")
    assert subject(zed.say(asked["From"] or "", "Re:", "yes")) == "Welcome", "twice is no harm"
    with pytest.raises(Refused):
        zed.say((asked["From"] or "").replace("users+", "other+"), "Re:", "yes")
    assert MailingList("other@test.com").members(db) == []


def test_what_somebody_is_on(person: Callable[[str], Conversation], db: Session) -> None:
    zed = person("ZED@example.com")
    join(zed)
    MailingList("other@test.com").add(db, "zed@EXAMPLE.com", owner=True)
    zed.say("third-subscribe@test.com", "Subscribe")
    mine = memberships(db, "Zed@example.com")
    assert [(one.list_address, one.is_owner) for one in mine] == [
        ("other@test.com", True),
        ("users@test.com", False),
    ]
    assert memberships(db, "nobody@example.com") == []


def test_no_program_joins(person: Callable[[str], Conversation], db: Session) -> None:
    zed = person("zed@example.com")
    asked = zed.say("users-subscribe@test.com", "Subscribe")
    assert asked is not None
    away = "I am away.\n\n> " + asked.body.replace("\n", "\n> ")
    for headers in ({}, {"Auto-Submitted": "auto-replied"}):
        zed.say(asked["From"] or "", "Out of office", away, headers=headers)
    assert not USERS.exists(db)


def test_who_does_not_say_yes_alone_is_asked_again(
    person: Callable[[str], Conversation], db: Session
) -> None:
    zed = person("zed@example.com")
    asked = zed.say("users-subscribe@test.com", "Subscribe")
    assert asked is not None
    again = zed.reply(asked, "Yes, please!")
    assert again is not None
    assert (again["Subject"], USERS.exists(db)) == ("Please confirm", False)
    assert subject(zed.reply(again, "Yes")) == "Welcome"
    assert zed.reply(again, "Thank you!") is None, "he is on it"
    asked = zed.say("users-leave@test.com")
    assert asked is not None
    again = person("eve@example.com").reply(asked, "Who is it?")
    assert again is None, "only he is told"
    assert subject(zed.reply(zed.inbox[-1], "yes")) == "Goodbye"


def test_who_asks_again_has_his_days_again(
    person: Callable[[str], Conversation], mailroom: Mailroom, db: Session
) -> None:
    zed = person("zed@example.com")
    zed.say("users-subscribe@test.com", "Subscribe")
    mailroom.wait(days=6)
    asked = zed.say("users-subscribe@test.com", "Subscribe")
    assert asked is not None
    with mailroom.database.begin() as connection:
        lists.purge(connection, mailroom.clock() + 2 * 86400, 100)
    assert subject(zed.say(asked["From"] or "", "Re:", "yes")) == "Welcome"


def test_leaving_is_confirmed_and_old_tokens_say_nothing(
    person: Callable[[str], Conversation], db: Session
) -> None:
    zed = person("zed@example.com")
    first = join(zed)
    asked = zed.say("users-leave@test.com")
    assert asked is not None
    assert USERS.exists(db)
    assert subject(zed.say(asked["From"] or "", "Re:", "yes")) == "Goodbye"
    assert not USERS.exists(db)
    assert zed.say(first["From"] or "", "Re:", "yes") is None
    assert not USERS.exists(db)
    join(zed)
    zed.say(asked["From"] or "", "Re:", "yes")
    assert USERS.exists(db), "the old token is for who he was before"
    assert subject(person("eve@example.com").say("users-leave@test.com")) == "Not on the list"


def test_leaving_by_the_mail_that_a_reader_sends(
    person: Callable[[str], Conversation], db: Session
) -> None:
    zed = person("zed@example.com")
    join(zed)
    zed.say("users@test.com", "Hello")
    post = zed.inbox[-1]
    url = (post["List-Unsubscribe"] or "").partition("<mailto:")[2]
    goodbye = zed.say(url.partition("?")[0], "unsubscribe")
    assert subject(goodbye) == "Goodbye"
    assert not USERS.exists(db)


# Moderators


@pytest.fixture
def moderated(db: Session) -> None:
    USERS.add(db, "mod@example.com", moderator=True)
    USERS.add(db, "two@example.com", moderator=True)
    USERS.add(db, "ann@example.com")


@pytest.mark.usefixtures("moderated")
def test_a_moderator_approves_and_another_is_told_so(
    person: Callable[[str], Conversation], mailroom: Mailroom, db: Session
) -> None:
    eve = person("eve@example.org")
    assert subject(eve.say("users@test.com", "Buy", "this")) == "It waits for a moderator"
    (held,) = USERS.held(db)
    assert (held.author, held.reason) == ("eve@example.org", "its author is not on the list")
    moderator, second = person("mod@example.com"), person("two@example.com")
    asked = moderator.inbox[-1]
    assert asked.message.attachments[0].content_type == "message/rfc822"
    assert moderator.reply(asked, "hm") is None
    assert moderator.reply(asked, "approve", headers={"Auto-Submitted": "auto-replied"}) is None
    with pytest.raises(Refused):  # not as if that went wrong: Postfix would try for days
        moderator.say((asked["From"] or "").replace("users+", "other+"), "Re:", "approve")
    mailroom.sent.clear()
    assert moderator.reply(asked, "Approve") is not None
    posts = [one for one in mailroom.sent if one["Subject"] == "Buy"]
    assert sorted(one.recipients[0] for one in posts) == [
        "ann@example.com", "mod@example.com", "two@example.com"
    ]  # fmt: skip
    mailroom.sent.clear()
    for again in (moderator, second):
        told = again.reply(asked, "reject")
        assert told is not None
        assert "approved by mod@example.com" in told.body
    assert not [one for one in mailroom.sent if one["Subject"] == "Buy"]
    assert USERS.held(db) == []


@pytest.mark.usefixtures("moderated")
def test_what_is_rejected_goes_nowhere(
    person: Callable[[str], Conversation], mailroom: Mailroom, db: Session
) -> None:
    person("eve@example.org").say("users@test.com", "Buy", "this")
    moderator = person("mod@example.com")
    told = moderator.reply(moderator.inbox[-1], "reject")
    assert subject(told) == "It was rejected"
    assert not [one for one in mailroom.sent if one["Subject"] == "Buy"]


@pytest.mark.usefixtures("moderated")
def test_no_more_is_held_than_the_list_says(
    person: Callable[[str], Conversation], handlers: Any, db: Session
) -> None:
    handlers.OPTIONS["users@test.com"] = {"max_held": 1}
    eve = person("eve@example.org")
    eve.say("users@test.com", "One")
    assert subject(eve.say("users@test.com", "Two")) == "Not sent"
    handlers.OPTIONS["users@test.com"] = {"max_held_size": 2000}
    assert subject(eve.say("users@test.com", "Large", "x" * 2000)) == "Not sent"
    assert handlers.RESULTS == ["held", "refused", "refused"]
    handlers.OPTIONS["users@test.com"] = {"others": "refuse"}
    assert subject(eve.say("users@test.com", "Three")) == "Not sent"


# Owners


def test_an_owner_commands(person: Callable[[str], Conversation], db: Session) -> None:
    USERS.add(db, "boss@example.com", owner=True)
    boss = person("boss@example.com")
    lines = "Who\nadd joe@example.org\nhold joe@example.org\nremove x@example.org\nadd nobody\nfly"
    lines += f"\nreject {10**30}"
    told = boss.say(
        "users-owner@test.com", "", f"{lines}\nend\nremove joe@example.org", proven=True
    )
    assert told is not None
    for expected in ("boss@example.com  active  mail  owner", "Not on the list.", "Not done:",
                     "Not understood."):  # fmt: skip
        assert expected in told.body
    joe = USERS.member(db, "joe@example.org")
    assert joe is not None
    assert joe.is_held


def test_a_forged_owner_changes_nothing_and_the_owners_see_it(
    person: Callable[[str], Conversation], db: Session
) -> None:
    USERS.add(db, "boss@example.com", owner=True)
    boss = person("boss@example.com")
    boss.say("users-owner@test.com", "", "add eve@example.org", sender="eve@example.org")
    assert USERS.member(db, "eve@example.org") is None
    (seen,) = boss.inbox
    assert "nothing was done" in seen.body
    assert seen.message.attachments[0].message is not None


def test_a_stranger_reaches_the_owners(person: Callable[[str], Conversation], db: Session) -> None:
    USERS.add(db, "boss@example.com", owner=True)
    person("eve@example.org").say("users-owner@test.com", "Hello", "there")
    assert person("boss@example.com").inbox[0]["Reply-To"] == "eve@example.org"


def test_a_member_changes_his_settings(person: Callable[[str], Conversation], db: Session) -> None:
    USERS.add(db, "zed@example.com")
    zed = person("zed@example.com")
    wanted = "Set Digest\nset own off\nset copies on\nset sail"
    zed.say("users-request@test.com", "", wanted, sender="eve@example.org")
    told = zed.say("users-request@test.com", "", wanted, proven=True)
    assert told is not None
    assert "set sail: not understood" in told.body
    member = USERS.member(db, "zed@example.com")
    assert member is not None
    assert (member.mode, member.own_posts, member.copies) == ("digest", False, True)
    assert subject(zed.say("users-help@test.com")) == "Help"


# Bounces


def test_who_bounces_is_paused_and_comes_back(
    person: Callable[[str], Conversation], mailroom: Mailroom, db: Session
) -> None:
    USERS.add(db, "ann@example.com")
    USERS.add(db, "full@example.org")
    ann = person("ann@example.com")
    for number in range(9):
        mailroom.sent.clear()
        ann.say("users@test.com", f"Post {number}", str(number))
        found = [one for one in mailroom.sent if one.recipients == ("full@example.org",)]
        if not found:
            break
        mailroom.report(found[0], status="5.2.2", diagnostic="552 5.2.2 mailbox full")
        member = USERS.member(db, "full@example.org")
        assert member is not None
        if member.status == "paused":
            break
    assert number == 2
    letter = person("full@example.org").inbox[-1]
    assert "552 5.2.2 mailbox full" in letter.body
    back = person("full@example.org").reply(letter)
    assert subject(back) == "Welcome back"
    member = USERS.member(db, "full@example.org")
    assert member is not None
    assert (member.status, member.score) == ("active", 0.0)


def test_who_is_not_there_is_paused_and_may_be_there_again(
    person: Callable[[str], Conversation], mailroom: Mailroom, db: Session
) -> None:
    """Lamson itself writes to him no more; who proves that he is back is asked all the same."""
    USERS.add(db, "ann@example.com")
    USERS.add(db, "gone@example.org")
    person("ann@example.com").say("users@test.com", "Hello")
    mailroom.report(mailroom.sent[1])
    member = USERS.member(db, "gone@example.org")
    assert member is not None
    assert member.status == "paused"
    gone = person("gone@example.org")
    asked = gone.say("users-subscribe@test.com", proven=True)
    assert asked is not None
    gone.say(asked["From"] or "", "Re:", "yes")
    member = USERS.member(db, "gone@example.org")
    assert member is not None
    assert member.status == "active"


def test_points_halve_and_the_third_pause_is_the_last(
    person: Callable[[str], Conversation], mailroom: Mailroom, handlers: Any, db: Session
) -> None:
    handlers.OPTIONS["users@test.com"] = {"soft": 3.0, "pause_at": 4.0, "disable_after": 1}
    USERS.add(db, "ann@example.com")
    USERS.add(db, "full@example.org")

    def bounce(text: str) -> Any:
        person("ann@example.com").say("users@test.com", text, text)
        (sent,) = [one for one in mailroom.sent if one["Subject"] == text
                   and one.recipients == ("full@example.org",)]  # fmt: skip
        mailroom.report(sent, status="5.2.2", diagnostic="552 5.2.2 mailbox full")
        return USERS.member(db, "full@example.org")

    assert bounce("One").score == 3.0
    mailroom.wait(days=14)
    later = bounce("Two")
    assert 3.7 < later.score < 3.8
    assert later.status == "active"
    assert bounce("Three").status == "disabled"
    assert person("full@example.org").inbox[-1]["Subject"] == "Three", "and he is not told"


@pytest.mark.parametrize("status", [lists.ACTIVE, lists.PAUSED])
def test_who_complains_is_off_the_list_and_who_is_away_is_not(
    person: Callable[[str], Conversation], mailroom: Mailroom, db: Session, status: str
) -> None:
    USERS.add(db, "ann@example.com")
    ann = person("ann@example.com")
    ann.say("users@test.com", "Hello")
    (sent,) = mailroom.sent
    away = b"Auto-Submitted: auto-replied\r\nSubject: Away\r\nFrom: ann@example.com\r\n\r\nAway\r\n"
    ann.deliver(sent.sender, away, sender="")
    assert mailroom.sent == [sent], "a vacation goes nowhere"
    assert USERS.exists(db)
    lists.put(db.connection(), "users@test.com", "ann@example.com", status=status)
    db.commit()
    arf = (
        b"From: fbl@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report;"
        b' report-type=feedback-report; boundary="b"\r\n\r\n--b\r\n\r\nspam\r\n--b\r\n'
        b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n"
        b"User-Agent: x/1\r\nVersion: 1\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        + sent.message.raw
        + b"\r\n--b--\r\n"
    )
    ann.deliver(sent.sender, arf, sender="")
    assert not USERS.exists(db)


# Digests


def test_a_digest_each_day(
    person: Callable[[str], Conversation], mailroom: Mailroom, db: Session
) -> None:
    USERS.add(db, "ann@example.com")
    for one in ("dan@example.org", "dora@example.org"):
        USERS.add(db, one)
        USERS.change(db, one, mode="digest")
    for number in range(2):
        person("ann@example.com").say("users@test.com", f"Post {number}", f"text {number}")
    assert person("dan@example.org").inbox == []
    mailroom.wait(days=2)
    for one in ("dan@example.org", "dora@example.org"):
        (digest,) = person(one).inbox
        assert "1. Post 0 (ann@example.com)\n2. Post 1" in digest.body
        inner = [part.message for part in digest.message.attachments]
        assert [message.subject for message in inner if message] == ["Post 0", "Post 1"]
        assert digest["List-Id"] == '"users" <users.test.com>'
        assert digest.sender.startswith("bounces+")


def test_what_is_past_is_forgotten(db: Session, mailroom: Mailroom) -> None:
    USERS.add(db, "ann@example.com")
    with mailroom.database.begin() as connection:
        lists.put(connection, "users@test.com", "asked@example.com", since=0.0)
        lists.put(connection, "users@test.com", "old@example.com", since=0.0, status="active")
        for archived in (True, False):
            lists.post(
                connection, "users@test.com", bytes([archived]), [], message_id="", subject="",
                author="", posted_at=0.0, content=b"", mode="mail", smtputf8=False, shared=0,
                is_digested=True, is_archived=archived,
            )  # fmt: skip
        assert lists.purge(connection, mailroom.clock(), 100) < 100
    assert len(USERS.members(db)) == 2
    assert db.execute(text("SELECT count(*) FROM lamson_list_members")).scalar() == 2
    assert db.execute(text("SELECT count(*) FROM lamson_list_posts")).scalar() == 1
