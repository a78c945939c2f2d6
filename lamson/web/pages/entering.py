"""Pages at the door: to enter by the password, or by the address that `lamson dev` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from lamson.web.sessions import COOKIE, IDLE
from lamson.web.view import show, text, to

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from lamson.web.sessions import Sessions

_WRONG = "That is not the password, or it was tried too often: wait a minute then"


def form(request: Request) -> Response:
    """Ask for the password."""
    return show(request, "login.html", "Enter", problem="")


async def enter(request: Request) -> Response:
    """Look at the password. No session is there yet, so no token: the origin was looked at."""
    given = await request.form(max_files=0, max_fields=5, max_part_size=4096)
    return await run_in_threadpool(_enter, request, text(given, "password"))


def by_key(request: Request) -> Response:
    """The address that `lamson dev` prints has the key in it; a proxy's log should have none."""
    return _enter(request, request.query_params.get("key", ""))


def leave(request: Request, form: FormData) -> Response:
    """End the session: the cookie is worth nothing from now on."""
    _sessions(request).leave(request.cookies.get(COOKIE, ""))
    response = to("/login")
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


def _enter(request: Request, password: str) -> Response:
    peer = request.client.host if request.client else "local"
    cookie = _sessions(request).enter(password[:1000], peer)
    if cookie is None:
        status = 429 if _sessions(request).is_barred(peer) else 403
        return show(request, "login.html", "Enter", status, problem=_WRONG)
    response = RedirectResponse("/", 303)
    is_tls = request.headers.get("x-forwarded-proto") == "https"
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=int(IDLE),
        path="/",
        httponly=True,
        secure=is_tls,
        samesite="strict",
    )
    return response


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions
