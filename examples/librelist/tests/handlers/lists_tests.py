"""Making lists, and what people do on them."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from lamson.lists import OneClick
from lamson.testing import Conversation, Mailroom, Refused, Sent
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.lists import MOST, OPERATOR, named
from app.model import Founder
from app.web import project, web

Correspondent = Callable[[str], Conversation]
LIST, ZED = "cooking@test.com", "zed@example.com"


@pytest.fixture
def ann(conversation: Correspondent) -> Conversation:
    """Who makes the list."""
    ann = conversation("ann@example.com")
    asked = ann.say(LIST, "Soup", "How long?")
    assert asked is not None
    assert asked["Subject"] == "Please confirm"
    ann.reply(asked, "yes")
    return ann


@pytest.fixture
def zed(ann: Conversation, conversation: Correspondent) -> Conversation:
    """Who has joined it."""
    zed = conversation(ZED)
    asked = zed.say("cooking-subscribe@test.com", "Subscribe")
    assert asked is not None
    welcome = zed.reply(asked, "Yes")
    assert welcome is not None
    assert welcome["Subject"] == "Welcome"
    return zed


def test_a_post_makes_a_list(ann: Conversation, db: Session) -> None:
    post = ann.inbox[-1]
    assert (post["Subject"], post.body.strip()) == ("Soup", "How long?")
    assert "cooking.test.com" in (post["List-Id"] or "")
    [owner] = named("Cooking").members(db)
    assert (owner.address, owner.is_owner) == (ann.author, True)
    assert db.scalars(select(Founder)).all() == []


def test_nobody_makes_one_in_anothers_name(conversation: Correspondent, db: Session) -> None:
    eve, victim = conversation("eve@evil.example"), {"From": "ann@example.com"}
    asked = eve.say(LIST, "Buy this", headers=victim)
    assert asked is not None
    conversation("ann@example.com").reply(asked, "yes")  # forged: Ann has never seen it
    assert [one.address for one in named("cooking").members(db)] == [eve.author]


def test_no_program_makes_one(conversation: Correspondent, db: Session) -> None:
    zed = conversation(ZED)
    zed.say(LIST, "Away", headers={"Auto-Submitted": "auto-replied"})
    assert zed.inbox == []
    asked = zed.say(LIST, "Soup")
    assert asked is not None
    for text, headers in (("I am away.", {}), ("yes", {"Auto-Submitted": "auto-replied"})):
        with pytest.raises(Refused):
            zed.reply(asked, text, headers=headers)
    assert not named("cooking").exists(db)
    for _ in range(2):
        zed.reply(asked, "yes")
    assert [one["Subject"] for one in zed.inbox].count("Soup") == 1


def test_who_made_many_makes_no_more(conversation: Correspondent, db: Session) -> None:
    for number in range(MOST):
        named(f"soup{number}").add(db, ZED, owner=True)
    db.commit()
    told = conversation(ZED).say(LIST, "Soup")
    assert told is not None
    assert told["Subject"] == "Not made"


def test_who_comes_second_joins(
    ann: Conversation, conversation: Correspondent, db: Session
) -> None:
    with pytest.raises(Refused):
        conversation(ZED).say("baking-subscribe@test.com", "Subscribe")
    zed, eve = conversation(ZED), conversation("eve@example.net")
    asked = [one.say("baking@test.com", "Bread") for one in (zed, eve)]
    for one, mail in zip((zed, eve), asked, strict=True):
        assert mail is not None
        one.reply(mail, "yes")
    assert [one.is_owner for one in named("baking").members(db)] == [True, False]
    assert [one["Subject"] for one in zed.inbox].count("Bread") == 2


def test_members_get_posts_until_they_leave(ann: Conversation, zed: Conversation) -> None:
    ann.say(LIST, "Soup", "An hour.")
    assert zed.inbox[-1].body == "An hour.\n"
    asked = zed.say("cooking-leave@test.com", "Bye")
    assert asked is not None
    zed.reply(asked, "yes")
    assert zed.inbox[-1]["Subject"] == "Goodbye"
    ann.say(LIST, "Soup", "Or two.")
    assert zed.inbox[-1]["Subject"] == "Goodbye"


def test_the_owner_decides_about_strangers(
    ann: Conversation, zed: Conversation, conversation: Correspondent
) -> None:
    for subject, decision in (("Salad", "approve"), ("Buy this", "reject")):
        conversation("eve@example.net").say(LIST, subject)
        ann.reply(ann.inbox[-1], decision)
    assert zed.inbox[-1]["Subject"] == "Salad"


def test_who_bounces_is_paused_and_comes_back(
    ann: Conversation, zed: Conversation, mailroom: Mailroom, db: Session
) -> None:
    ann.say(LIST, "Soup", "An hour.")
    mailroom.report(zed.inbox[-1])
    ann.say(LIST, "Soup", "Or two.")
    told = zed.inbox[-1]
    assert "does not reach you" in (told["Subject"] or "")
    zed.reply(told)
    ann.say(LIST, "Soup", "Or three.")
    assert zed.inbox[-1].body == "Or three.\n"


def test_a_day_in_one_mail(ann: Conversation, zed: Conversation, mailroom: Mailroom) -> None:
    zed.say("cooking-request@test.com", "Settings", "set digest", proven=True)
    for text in ("An hour.", "Or two."):
        ann.say(LIST, "Soup", text)
    mailroom.wait(days=1)
    digest = zed.inbox[-1]
    assert "digest: 3 messages" in (digest["Subject"] or "")
    assert len(digest.message.attachments) == 3


def test_who_never_answered_is_forgotten(
    conversation: Correspondent, mailroom: Mailroom, db: Session
) -> None:
    conversation(ZED).say(LIST, "Soup")
    [asked] = db.scalars(select(Founder))
    Founder.forget(db, asked.asked_at + 3 * 86400)
    assert db.scalars(select(Founder)).all() == [asked]
    Founder.forget(db, asked.asked_at + 5 * 86400)
    assert db.scalars(select(Founder)).all() == []


def test_the_server_has_an_operator(conversation: Correspondent, sent: list[Sent]) -> None:
    eve = conversation("eve@example.net")
    eve.say("postmaster@test.com", "Spam", "comes from you")
    assert [one.recipients for one in sent] == [(OPERATOR,)]
    with pytest.raises(Refused):
        eve.say("victim@elsewhere.example", "Buy this")


class Web:
    """The web application, without a server."""

    def __init__(self, mailroom: Mailroom) -> None:
        settings = mailroom.application.settings
        self.app = web(OneClick(settings, database=mailroom.database))
        self.app.dependency_overrides[project] = lambda: mailroom.mailer

    def ask(self, method: str, url: str, data: dict[str, str] | None = None) -> httpx.Response:
        async def asking() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, url, data=data)

        return asyncio.run(asking())


def test_a_click_takes_him_off(zed: Conversation, mailroom: Mailroom, db: Session) -> None:
    zed.say(LIST, "Soup", "An hour.")
    url = (zed.inbox[-1]["List-Unsubscribe"] or "").partition(">")[0].strip("<")
    pages = Web(mailroom)
    assert pages.ask("GET", url).status_code == 200
    assert named("cooking").member(db, ZED) is not None
    assert pages.ask("POST", url, {"List-Unsubscribe": "One-Click"}).status_code == 200
    db.expire_all()
    assert named("cooking").member(db, ZED) is None


def test_the_archive_is_there_to_be_read(
    ann: Conversation, zed: Conversation, mailroom: Mailroom
) -> None:
    zed.say(LIST, "<b>Soup</b>", "An hour. <script>alert(1)</script>")
    pages = Web(mailroom)
    assert '<a href="/archive/cooking">' in pages.ask("GET", "/").text
    newest = pages.ask("GET", "/archive/cooking").text
    assert newest.index("&lt;b&gt;Soup") < newest.index(">Soup<")
    path = newest.partition('<li><a href="')[2].partition('"')[0]
    read = pages.ask("GET", path)
    assert "An hour. &lt;script&gt;" in read.text
    assert "example.com" not in read.text + newest
    assert "default-src 'none'" in read.headers["Content-Security-Policy"]
    for wrong in ("/archive/baking", "/archive/cooking/999", path.replace("cooking", "baking")):
        assert pages.ask("GET", wrong).status_code == 404
