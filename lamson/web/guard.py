"""The door of the window: which requests reach a page at all, and what every answer says.

In front of all pages, as ASGI. What is asked under a name that is not ours is refused (a page of
elsewhere whose name was made to lead here, "DNS rebinding"), so is what another site has a browser
send, what is larger than it may be, and whoever is not in. Each answer forbids the browser whatever
the pages do not need: scripts of others or within the page, frames of others, guessing of types,
and to keep it.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse

from lamson.net.accept import AllowList
from lamson.storage.patience import patience
from lamson.web.sessions import COOKIE

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lamson.web.sessions import Session, Sessions

MAX_REQUEST = 32 * 1024 * 1024  # octets
MAX_ENTERING = 16 * 1024  # those of who is not in yet
TIME = 300.0  # seconds for a request to come in
ENTERING_TIME = 20.0  # of who is not in yet
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without any, browsers would not say who posts a form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_OPEN = re.compile(r"/(?:login|enter|static/[a-z]+\.(?:css|js))")
_PORT = re.compile(r":[0-9]+\Z")


class Guard:
    """Lets through to ``app`` what may pass, with its session in the scope.

    ``hosts`` are further names that the window is asked under. ``user_header`` names whoever the
    proxy has let in, and is believed of ``proxies`` only; so is a client without an address, which
    came by a unix socket, where ``is_local`` says that we listen on one.
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions,
        *,
        hosts: Collection[str] = (),
        user_header: str | None = None,
        proxies: Collection[str] = (),
        is_local: bool = False,
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._hosts = {*_LOOPBACK, *(one.lower() for one in hosts)}
        self._user_header = user_header
        self._proxies = AllowList(proxies) if proxies else None
        self._is_local = is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    given.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await PlainTextResponse(refusal[1] + "\n", refusal[0])(scope, receive, answer)
            return
        session = self._session(scope, headers)
        scope["state"] = {**scope.get("state", {}), "session": session}
        if session is None and not _OPEN.fullmatch(scope["path"]):
            response: Any = PlainTextResponse("You are not in: load /login\n", 403)
            if scope["method"] in ("GET", "HEAD"):
                response = RedirectResponse("/login", 303)
            await response(scope, receive, answer)
            return
        most = MAX_REQUEST if session is not None else MAX_ENTERING
        until = time.monotonic() + (TIME if session is not None else ENTERING_TIME)
        if int(headers.get("content-length", "0")) > most:
            await PlainTextResponse(f"More than {most} octets\n", 413)(scope, receive, answer)
            return
        with patience():  # a page has a thread, and there are not many
            await self._app(scope, _Bounded(receive, most, until), answer)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """The status and the reason, where a request may not reach any page."""
        host = headers.get("host", "").lower()
        if _PORT.sub("", host) not in self._hosts or len(headers.getlist("host")) != 1:
            return 421, "This window has another name; see the setting web.hosts"
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            return 405, "Only GET and POST"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_REQUEST:
            return 413, f"More than {MAX_REQUEST} octets"
        site = headers.get("sec-fetch-site", "none")
        if method == "POST":
            origin = headers.get("origin")
            if site not in ("same-origin", "none"):
                return 403, "A form of another site"
            if origin is not None and urlsplit(origin).netloc.lower() != host:
                return 403, "A form of another site"
        elif site in ("cross-site", "same-site") and (
            headers.get("sec-fetch-mode") != "navigate"
            or headers.get("sec-fetch-dest") not in ("document", None)
        ):
            return 403, "Another site asks"
        return None

    def _session(self, scope: Scope, headers: Headers) -> Session | None:
        if self._user_header is not None and self._is_proxy(scope):
            users = headers.getlist(self._user_header)
            if len(users) == 1 and users[0].strip():
                return self._sessions.of_user(users[0].strip()[:200])
        cookie = HTTPConnection(scope).cookies.get(COOKIE, "")
        return self._sessions.of_cookie(cookie) if cookie else None

    def _is_proxy(self, scope: Scope) -> bool:
        client = scope.get("client")
        if client is None:
            return self._is_local
        return self._proxies is not None and self._proxies.allows(tuple(client))


class _Bounded:
    """Receives no more than that many octets, whatever length was announced, and until then."""

    def __init__(self, receive: Receive, most: int, until: float) -> None:
        self._receive = receive
        self._left = most
        self._until = until
        self._has_all = False

    async def __call__(self) -> Message:
        if self._has_all:  # whoever asks now waits for the client to go
            return await self._receive()
        try:
            async with asyncio.timeout(max(self._until - time.monotonic(), 0.0)):
                message = await self._receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        self._has_all = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        return message if self._left >= 0 else {"type": "http.disconnect"}
