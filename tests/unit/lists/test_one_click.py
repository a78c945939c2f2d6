"""lamson.lists.one_click: RFC 8058, and what is none of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from lamson.delivery.fanout import LEAVE, payload
from lamson.lists import OneClick, one_click, tokens
from lamson.lists.one_click import MAX_BODY
from lamson.settings import Signing
from lamson.settings.keys import signer_of
from lamson.storage.database import Database
from tests.unit.lists.conftest import USERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.orm import Session

    from lamson.testing import Conversation, Mailroom

CLICK = b"List-Unsubscribe=One-Click"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def client(mailroom: Mailroom) -> httpx.AsyncClient:
    application = OneClick(mailroom.application.settings, database=mailroom.database)
    mounted = Starlette(routes=[Mount("/leave", application)])
    transport = httpx.ASGITransport(app=mounted)
    return httpx.AsyncClient(transport=transport, base_url="https://lists.test.com")


@pytest.fixture
def path(person: Callable[[str], Conversation], db: Session) -> str:
    USERS.add(db, "ann@example.com")
    ann = person("ann@example.com")
    ann.say("users@test.com", "Hello")
    url = (ann.inbox[-1]["List-Unsubscribe"] or "").partition(">")[0].strip("<")
    return urlsplit(url).path


@pytest.mark.parametrize("is_multipart", [False, True])
def test_a_click_and_nothing_else_takes_a_member_off(
    client: httpx.AsyncClient, path: str, db: Session, is_multipart: bool
) -> None:
    async def run() -> None:
        page = await client.get(path)
        assert page.status_code == 200
        assert '<form method="post">' in page.text
        await client.head(path)
        assert (await client.put(path)).status_code == 405
        assert (await client.post(path, content=b"")).status_code == 400
        assert (await client.post(path, content=b"x=\xff", headers=FORM)).status_code == 400
        long = CLICK + b"&x=" + b"y" * MAX_BODY
        assert (await client.post(path, content=long, headers=FORM)).status_code == 413
        assert (await client.post(path[:-3] + "aaa", content=CLICK)).status_code == 404
        assert USERS.exists(db), "nothing of that was a click"
        for _ in range(2):
            if is_multipart:
                files = {"List-Unsubscribe": (None, "One-Click")}
                done = await client.post(path, files=files)
            else:
                done = await client.post(path, content=CLICK, headers=FORM)
            assert done.status_code == 200
            assert not USERS.exists(db)

    asyncio.run(run())


def test_a_token_for_something_else_is_none(
    client: httpx.AsyncClient, person: Callable[[str], Conversation], db: Session
) -> None:
    zed = person("zed@example.com")
    asked = zed.say("users-subscribe@test.com")
    assert asked is not None
    token = (asked["From"] or "").partition("+")[2].partition("@")[0]
    answer = asyncio.run(client.post(f"/leave/{token}", content=CLICK, headers=FORM))
    assert answer.status_code == 404


def test_a_link_that_is_signed_with_a_new_key_works_in_an_application_that_runs(
    mailroom: Mailroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service has the key by a reload; nobody thinks of the web application."""
    monkeypatch.setattr(one_click, "ELSEWHERE", 0.0)
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text("the-first-key-of-all")
    settings = mailroom.application.settings.model_copy(
        update={"signing": Signing(secret_file=file)}
    )
    application = OneClick(settings, database=mailroom.database)
    mounted = Starlette(routes=[Mount("/leave", application)])
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=mounted), base_url="https://lists.test.com"
    )
    for keys in ("the-first-key-of-all", "a-second-key-of-all the-first-key-of-all"):
        file.write_text(keys)
        token = signer_of(settings).sign(tokens.TOKEN, payload(LEAVE, 1))
        assert asyncio.run(client.get(f"/leave/{token}")).status_code == 200


def test_a_database_that_was_given_is_left_open(
    mailroom: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever gave it goes on with it, when the server of the application ends."""
    given = OneClick(mailroom.application.settings, database=mailroom.database)
    closed: list[Database] = []
    with monkeypatch.context() as patched:
        patched.setattr(Database, "close", lambda database: closed.append(database))
        asyncio.run(live(given))
        assert closed == []
        asyncio.run(live(OneClick(mailroom.application.settings)))
        assert closed != []
    closed[0].close()


async def live(application: OneClick) -> None:
    """Start and end, as a server says it."""
    said = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    answered = []

    async def receive() -> Any:
        return next(said)

    async def send(message: Any) -> None:
        answered.append(message["type"])

    await application({"type": "lifespan"}, receive, send)
    assert answered == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
