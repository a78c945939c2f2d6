"""Leaving a list by one click (RFC 8058): a small ASGI application of its own.

Mount it below the path of `MailingList.one_click`; the rest of the path is the token. A mail reader
sends POST, with ``List-Unsubscribe=One-Click`` in the body, and the member is off the list when it
is answered. GET never changes anything, since programs follow links to look at them: it shows a
page with a button that sends the same POST. What is no token of ours is 404, whatever it once was.
"""

from __future__ import annotations

import asyncio
import html
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from lamson import log
from lamson.delivery.fanout import LEAVE
from lamson.errors import SettingsError
from lamson.lists import tokens
from lamson.settings import loading
from lamson.settings.keys import ELSEWHERE, signer_of
from lamson.storage import lists
from lamson.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from lamson.settings.model import Settings

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 1024  # octets of a POST
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><h1>{title}</h1><p>{text}</p>{form}</html>
"""
_FORM = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    "<button>Unsubscribe</button></form>"
)


class OneClick:
    """The ASGI application. It knows the project's keys and database, and connects when asked."""

    def __init__(
        self, project: Settings | Path | str | None = None, *, database: Database | None = None
    ) -> None:
        """``project`` is its directory (default: the one we are in), or its settings.

        ``database`` is one to use instead of its own, as that of a `Mailroom` in tests.

        Raises SettingsError where no database is set.
        """
        if project is None or isinstance(project, str | Path):
            start = Path.cwd() if project is None else Path(project)
            project = loading.load(loading.find_project(start))
        if project.database is None:
            raise SettingsError("database: none is set, so there are no lists")
        self._signer = signer_of(project, believed=ELSEWHERE)
        self._is_ours = database is None
        self._database = database or Database(project.database, connections=2)

    def close(self) -> None:
        """Let go of the connections, but of those of a database that was given."""
        if self._is_ours:
            self._database.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What ASGI calls."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']}: only HTTP is spoken here")
        status, page = await self._answer(scope, receive)
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", str(len(page)).encode()),
            (b"cache-control", b"no-store"),
            (b"referrer-policy", b"no-referrer"),
            (b"content-security-policy", b"default-src 'none'; form-action 'self'"),
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD, POST"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else page
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            return 405, _page("Not possible", "Use the button, or your mail reader.")
        member = self._member(scope["path"].rstrip("/").rpartition("/")[2])
        if member is None:
            return 404, _page("Not found", "This link is none of ours, or counts no more.")
        if method != "POST":
            return 200, _page("Unsubscribe", "Do you want to get no more mail of this list?", _FORM)
        body = await _body(receive)
        if body is None:
            return 413, _page("Too long", "That was more than a click.")
        try:
            asked = parse_qs(body.decode("ascii"), max_num_fields=10)
        except ValueError:
            asked = {}
        # A form in parts is allowed as well (RFC 8058 section 3.2); its one value stands by itself.
        is_multipart = b'name="List-Unsubscribe"' in body and b"\r\n\r\nOne-Click\r\n" in body
        if asked.get("List-Unsubscribe") != ["One-Click"] and not is_multipart:
            return 400, _page("Not understood", "Use the button, or your mail reader.")
        await asyncio.to_thread(self._leave, member)
        return 200, _page("Goodbye", "You get no more mail of this list.")

    def _member(self, text: str) -> int | None:
        token = self._signer.read(tokens.TOKEN, text)
        action, id = tokens.read(token.payload) if token is not None else ("", 0)
        return id if action == LEAVE else None

    def _leave(self, id: int) -> None:
        """Who has left already stays so, and is told the same."""
        with self._database.begin() as connection:
            row = lists.by_id(connection, id)
            if row is not None and lists.remove(connection, id):
                log.event("list-left", "", list=row["list"], member=row["address"], why="click")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                self.close()
                return


async def _body(receive: Receive) -> bytes | None:
    """The body, None where it is too long, or the client has gone."""
    body = b""
    is_more = True
    while is_more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        body += bytes(event.get("body", b""))
        if len(body) > MAX_BODY:
            return None
        is_more = event.get("more_body", False)
    return body


def _page(title: str, text: str, form: str = "") -> bytes:
    return _PAGE.format(title=html.escape(title), text=html.escape(text), form=form).encode()
