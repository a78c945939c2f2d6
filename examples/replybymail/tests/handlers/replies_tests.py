"""Comments, from the web and by mail."""

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest
from lamson.testing import Conversation, Mailroom, Refused, Sent

from app.web import app, project

Correspondent = Callable[[str], Conversation]
ZED, ANN, JOE = "zed@example.com", "ann@example.org", "joe@example.net"


class Web:
    """The web application, without a server."""

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self.ask("GET", path))

    def post(self, path: str, **said: str) -> httpx.Response:
        return asyncio.run(self.ask("POST", path, said))

    async def ask(
        self, method: str, path: str, said: dict[str, str] | None = None
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, json=said)


@pytest.fixture
def web(mailroom: Mailroom) -> Iterator[Web]:
    app.dependency_overrides[project] = lambda: mailroom.mailer
    yield Web()
    app.dependency_overrides.clear()


@pytest.fixture
def topic(web: Web, mailroom: Mailroom) -> str:
    """What Zed has opened, and Ann has said something about."""
    opened = web.post("/topics", author=ZED, title="Lunch", text="Where?").json()
    path = f"/topics/{opened['id']}"
    web.post(f"{path}/comments", author=ANN, text="In the park.")
    mailroom.wait()
    return path


def comments(web: Web, topic: str) -> list[tuple[str, str]]:
    return [(one["author"], one["text"]) for one in web.get(topic).json()]


def test_the_others_are_told(topic: str, conversation: Correspondent, sent: list[Sent]) -> None:
    [told] = sent
    assert told.recipients == (ZED,)
    assert told["Subject"] == "Re: Lunch"
    assert "In the park." in told.body


def test_a_reply_is_a_comment(
    topic: str, web: Web, mailroom: Mailroom, conversation: Correspondent
) -> None:
    web.post(f"{topic}/comments", author=JOE, text="At noon?")
    mailroom.wait()
    zed, ann, joe = (conversation(one) for one in (ZED, ANN, JOE))
    zed.reply(zed.inbox[-1], "Fine.")
    assert comments(web, topic)[-1] == (ZED, "Fine.")
    for one in (ann, joe):
        assert "zed@example.com says" in one.inbox[-1].body
        assert "Fine." in one.inbox[-1].body
    ann.reply(ann.inbox[-1], "See you.")
    assert comments(web, topic)[-1] == (ANN, "See you.")
    assert "See you." in zed.inbox[-1].body


def test_a_forged_one_is_refused(
    topic: str, web: Web, conversation: Correspondent, sent: list[Sent]
) -> None:
    before = comments(web, topic)
    [told] = sent
    address = str(told["From"])
    eve = conversation("eve@evil.example")
    for forged in ("reply+1.1@test.com", address[:-20] + "aaaaaaaaaaa@test.com"):
        with pytest.raises(Refused) as refused:
            eve.say(forged, "Re: Lunch", "Buy this.", headers={"From": ZED})
        assert refused.value.reply.code == 550
    assert comments(web, topic) == before
    assert len(sent) == 1


def test_who_has_the_address_is_who_speaks(
    topic: str, web: Web, conversation: Correspondent
) -> None:
    zed = conversation(ZED)
    zed.reply(zed.inbox[-1], "Fine.", headers={"From": ANN})
    assert comments(web, topic)[-1] == (ZED, "Fine.")


def test_no_program_comments(topic: str, web: Web, conversation: Correspondent) -> None:
    zed, before = conversation(ZED), comments(web, topic)
    zed.reply(zed.inbox[-1], "I am away.", headers={"Auto-Submitted": "auto-replied"})
    answer = zed.reply(zed.inbox[-1], "")
    assert answer is not None
    assert "nothing new" in answer.body
    assert comments(web, topic) == before


def test_what_is_not_there_is_told_nobody(
    topic: str, web: Web, mailroom: Mailroom, sent: list[Sent]
) -> None:
    assert web.post("/topics/99/comments", author=JOE, text="x").status_code == 404
    mailroom.wait()
    assert len(sent) == 1
