"""How a page is made: from a template, with what stands in the frame of each.

For the modules under ``pages``. What a page shows is escaped, all of it (see
`lamson.message.templates`); nothing of a mail becomes markup here.
"""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse

from lamson.errors import LamsonError
from lamson.message.templates import Templates

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from lamson.settings.model import Settings
    from lamson.storage.database import Database
    from lamson.web.development import Development
    from lamson.web.mails import Mails

PAGE = 50  # entries of a list
_MAX_FIELD = 4 * 1024 * 1024  # octets of a field that is no file
_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"
_templates = Templates([_FOLDER / "templates"])


@dataclass(slots=True)
class Window:
    """What the pages are about. ``kept`` are the undeliverable mails alone.

    ``development`` is there in `lamson dev`, and lets write mail. Without ``is_writable`` nothing
    is changed.
    """

    project: Path
    settings: Settings
    mails: Mails
    kept: Mails
    database: Database | None
    is_writable: bool = False
    development: Development | None = None

    def read(self) -> Any:
        """A connection for reading. Raises LamsonError where there is no database."""
        return self._database().read()

    def begin(self) -> Any:
        """A transaction."""
        return self._database().begin()

    def _database(self) -> Database:
        if self.database is None:
            raise LamsonError("no database is set, so nothing waits in it")
        return self.database


def window_of(request: Request) -> Window:
    """The window that a request is about."""
    window: Window = request.app.state.window
    return window


def mark(window: Window) -> str:
    """Changes when there is something new to show; also when the database is back."""
    faults = window.development.faults.count if window.development is not None else 0
    try:
        return f"{window.mails.marker()}-{faults}"
    except SQLAlchemyError:
        return f"none-{faults}"


def show(request: Request, template: str, title: str, status: int = 200, **values: Any) -> Response:
    """The page that a template of ours makes."""
    window = window_of(request)
    session = getattr(request.state, "session", None)
    news, shown = [], ""
    if session is not None:  # nobody else is told, nor asks the database
        shown = getattr(request.state, "mark", None) or mark(window)
        news, session.news[:] = list(session.news), []
    page = _templates.render(
        template,
        title=title,
        path=request.url.path,
        query=request.query_params,
        session=session,
        mark=shown,
        news=news,
        window=window,
        development=window.development,
        csrf=session.csrf if session is not None else "",
        when=when,
        ago=ago,
        link=link,
        size=size,
        **values,
    )
    return HTMLResponse(page, status)


def posts(
    function: Callable[[Request, FormData], str | Response], *, always: bool = False
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that changes something: ``function`` gets the form, and gives where to go then.

    A form without the token of its session is refused; so is any, unless ``always``, where the
    window is read-only. What is wrong with its values (ValueError, LamsonError) is shown on the
    page that it came from.
    """

    async def endpoint(request: Request) -> Response:
        if not (always or window_of(request).is_writable):
            raise HTTPException(
                403, "This window is read-only; the setting web.writable changes that"
            )
        form = await request.form(max_files=20, max_fields=60, max_part_size=_MAX_FIELD)
        try:
            session = request.state.session
            given = form.get("csrf")
            token = given.encode() if isinstance(given, str) else b""
            if session is None or not hmac.compare_digest(token, session.csrf.encode()):
                raise HTTPException(403, "A form of another session: load the page again")
            try:
                gone = await run_in_threadpool(function, request, form)
            except (LamsonError, ValueError) as error:
                session.news.append(str(error)[:1000])
                gone = text(form, "back") or "/"
            return gone if not isinstance(gone, str) else to(gone)
        finally:
            await form.close()

    return endpoint


def to(path: str) -> Response:
    """Go to a page of ours, and nowhere else."""
    is_ours = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return RedirectResponse(path if is_ours else "/", 303)


def text(form: Mapping[str, Any], name: str) -> str:
    """A field of a form, "" where it is not there."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def missing(what: str) -> NoReturn:
    """Answer that there is no such thing."""
    raise HTTPException(404, f"{what}; it may be gone by now")


def tell(request: Request, news: str) -> None:
    """Say it on the next page."""
    request.state.session.news.append(news[:1000])


def when(at: float) -> str:
    """A time as people read it."""
    try:
        return datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds")
    except (OverflowError, ValueError, OSError):
        return "never"


def ago(at: float) -> str:
    """How far a time is, in words."""
    seconds = time.time() - at
    words = "{} ago" if seconds >= 0 else "in {}"
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * unit:
            return words.format(f"{abs(seconds) / unit:.0f} {name}")
    return words.format(f"{abs(seconds):.0f} s")


def size(octets: int) -> str:
    """A size as people read it."""
    for unit, name in ((1 << 20, "MB"), (1 << 10, "KB")):
        if octets >= unit:
            return f"{octets / unit:.1f} {name}"
    return f"{octets} B"


def link(path: str, **values: object) -> str:
    """A path of ours with its query."""
    given = {name: value for name, value in values.items() if value not in ("", None)}
    return f"{path}?{urlencode(given)}" if given else path
