"""Pages about mail: the list, a conversation, one mail and its parts, what is undeliverable."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import HTMLResponse, Response

from lamson.errors import LamsonError, UnavailableError
from lamson.web import records, safe_html
from lamson.web.mails import Place
from lamson.web.view import PAGE, mark, missing, show, window_of
from lamson.web.writing import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from lamson.message.request import MailRequest
    from lamson.web.mails import Mail, Mails
    from lamson.web.view import Window

MOST_TEXT = 200_000  # characters of a mail that a page shows
CONVERSATION = 30  # mails of one that a page shows,
READ = 32 * 1024 * 1024  # octets of them all that are read for it,
LEAST = 64 * 1024  # and of each, whatever the others have
_TRACE_TIMEOUT = 20.0  # seconds
_LONGEST_ID = 20
_tracing = threading.Lock()
_PARTS = 500  # of a mail that a page names
# What a browser may be told of a file that it is to save: the rest is octets to it.
_SAVED_AS = re.compile(
    r"(?:image/(?:png|jpeg|gif|webp)|application/(?:pdf|zip)|text/(?:plain|csv|calendar))"
)


def index(request: Request) -> Response:
    """All mail, newest first, or that in which a text stands; and whether mail waits."""
    window = window_of(request)
    request.state.mark = mark(window)  # what comes from now on is new
    search = request.query_params.get("q", "")[:200]
    mails, more = _page(request, window.mails, search=search)
    has_journal = window.settings.journal.keep != "off"
    is_asked = window.development is None and not search and not (mails and has_journal)
    return show(
        request,
        "mails.html",
        "Mail",
        mails=mails,
        more=more,
        search=search,
        has_journal=has_journal,
        waits=is_asked and _waits(window),
    )


def _waits(window: Window) -> bool:
    """Whether the outbox has something, due or later; False also where it cannot be asked."""
    if window.database is None:
        return False
    try:
        with window.read() as connection:
            return bool(records.outgoing(connection, 1) or records.later(connection, 1))
    except SQLAlchemyError:
        return False


def undeliverable(request: Request) -> Response:
    """What no handler took, and why."""
    mails, more = _page(request, window_of(request).kept)
    return show(request, "undeliverable.html", "Undeliverable", mails=mails, more=more)


def conversation(request: Request) -> Response:
    """Mail with one correspondent, oldest first, as it is read."""
    who = request.query_params.get("with", "")[:320]
    window = window_of(request)
    request.state.mark = mark(window)
    mails, more = _page(request, window.mails, limit=CONVERSATION, correspondent=who)
    said, room = [], READ
    for mail in reversed(mails):
        content = window.mails.content(mail.id)
        if content is not None:
            content = content[: max(room, LEAST)]
            room -= len(content)
            said.append((mail, read(content)))
    return show(
        request,
        "conversation.html",
        f"Mail with {who}",
        200 if mails else 404,
        who=who,
        said=said,
        more=more,
        most=MOST_TEXT,
    )


def one(request: Request) -> Response:
    """One mail: what it says, what it consists of, how it came."""
    mail, message, content = _found(request)
    views = ["text", *(["html"] if message.html is not None else []), "parts", "header", "source"]
    wanted = request.query_params.get("show", "text")
    answers = window_of(request).mails.answers(mail)[:PAGE]
    return show(
        request,
        "mail.html",
        message.subject or "(no subject)",
        mail=mail,
        message=message,
        views=views,
        shown=wanted if wanted in views else "text",
        loads_remote=request.query_params.get("remote") == "1",
        has_remote=safe_html.has_remote(message) if wanted == "html" else False,
        parts=message.parts[:_PARTS],
        attachments=message.attachments[:_PARTS],
        source=content[:MOST_TEXT].decode("utf-8", "replace"),
        is_cut=len(content) > MOST_TEXT,
        text=message.body[:MOST_TEXT],
        fields=message.items()[:_PARTS],
        answers=answers,
    )


def html(request: Request) -> Response:
    """The HTML of a mail, for a frame without rights."""
    _, message, _ = _found(request)
    page, policy = safe_html.page(message, loads_remote=request.query_params.get("remote") == "1")
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def part(request: Request) -> Response:
    """A part of a mail, to be saved: no browser is to show what a stranger sent."""
    _, message, _ = _found(request)
    number = request.path_params["number"]
    parts = message.parts
    if not 0 <= number < len(parts):
        missing("There is no such part")
    found = parts[number]
    return saved(found.content, found.filename or f"part-{number}", found.content_type)


def source(request: Request) -> Response:
    """The whole mail as a file."""
    mail, _, content = _found(request)
    return saved(content, f"{mail.id.partition('/')[2]}.eml", "message/rfc822")


def life(request: Request) -> Response:
    """What logs and database tell of a mail of the journal, as `lamson trace` does: asked of a
    process of its own, one at a time, for logs may be large."""
    id = request.query_params.get("id", "")
    if not id.isdecimal() or len(id) > _LONGEST_ID:
        missing("There is no such mail")
    if not _tracing.acquire(blocking=False):
        raise UnavailableError("another mail is being looked for in the logs: try again")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "lamson", "trace", id, "-json"],
            capture_output=True,
            cwd=window_of(request).project,
            timeout=_TRACE_TIMEOUT,
            check=False,
        )
        told = json.loads(done.stdout or b"{}")
    except (subprocess.TimeoutExpired, ValueError):
        raise LamsonError(f"that takes too long here: lamson trace {id}") from None
    finally:
        _tracing.release()
    return show(
        request,
        "life.html",
        "The life of a mail",
        id=id,
        events=told.get("events", []),
        looked=told.get("looked_at", []),
    )


def saved(content: bytes, name: str, content_type: str = "") -> Response:
    """A file that a browser saves, and shows in no case."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)[:100] or "file"
    shown = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name[:200], safe='')}"
    media = content_type if _SAVED_AS.fullmatch(content_type) else "application/octet-stream"
    return Response(
        content,
        media_type=media,
        headers={
            "Content-Disposition": shown,
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )


def _page(
    request: Request, mails: Mails, *, limit: int = PAGE, **what: Any
) -> tuple[Sequence[Mail], str]:
    """The mails of a page, and the place behind which the next one begins, "" for the last."""
    before = Place.read(request.query_params.get("before", ""))
    found = mails.page(limit, before=before, **what)
    return found.mails, str(found.further or "")


def found_mail(request: Request, id: str) -> tuple[Mail, MailRequest, bytes]:
    """The mail of that id."""
    mails = window_of(request).mails
    mail, content = mails.get(id), mails.content(id)
    if mail is None or content is None:
        missing("There is no such mail")
    return mail, read(content), content


def _found(request: Request) -> tuple[Mail, MailRequest, bytes]:
    return found_mail(request, f"{request.path_params['shelf']}/{request.path_params['key']}")
