"""The window as one ASGI application: which path leads to which page, behind the guard."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lamson import log
from lamson.errors import DatabaseError, LamsonError, UnavailableError
from lamson.storage import failure
from lamson.web.guard import Guard
from lamson.web.pages import code, developing, entering, mail, records
from lamson.web.view import STATIC, posts, show, window_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from lamson.web.sessions import Sessions
    from lamson.web.view import Window


def site(window: Window, sessions: Sessions) -> ASGIApp:
    """All pages about ``window``, for those who are in."""
    is_writing = window.development is not None
    application = Starlette(
        routes=[*_LOOKING, *_CHANGING, *(_DEVELOPING if is_writing else ()), _STATIC],
        exception_handlers={
            HTTPException: _refused,
            ClientDisconnect: _cut_off,
            LamsonError: _wrong,
            SQLAlchemyError: _no_database,
            Exception: _fault,
        },
    )
    application.state.window = window
    application.state.sessions = sessions
    settings = window.settings.web
    return Guard(
        application,
        sessions,
        hosts=settings.hosts,
        user_header=settings.user_header,
        proxies=settings.proxies,
        is_local=settings.unix_path is not None,
    )


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    name = HTTPStatus(error.status_code).phrase
    problem = "" if error.detail == name else error.detail
    return show(request, "problem.html", name, error.status_code, problem=problem)


def _cut_off(request: Request, error: Exception) -> Response:
    """By the client, or by the guard since it was too much: no fault of ours, nor in the log."""
    return PlainTextResponse("That was not all, or too much\n", 400)


def _wrong(request: Request, error: Exception) -> Response:
    status = 503 if isinstance(error, UnavailableError) else 422
    return show(request, "problem.html", "This does not go", status, problem=str(error))


def _no_database(request: Request, error: Exception) -> Response:
    """It does not answer, or has not the tables that we know: then it says what to run."""
    database = window_of(request).database
    title, problem = "The database does not answer", failure.brief(error)
    try:
        if database is not None:
            database.check()
    except DatabaseError as why:
        title, problem = "The database is not ready", str(why)
    except UnavailableError as why:
        problem = str(why)
    return show(request, "problem.html", title, 503, problem=problem)


def _fault(request: Request, error: Exception) -> Response:
    log.logger.error("the window failed at %s", request.url.path, exc_info=error)
    return show(request, "problem.html", "The window failed", 500, problem="See the log")


_MAIL = "/mail/{shelf}/{key}"
_LOOKING = [
    Route("/", mail.index),
    Route("/login", entering.form, methods=["GET"]),
    Route("/login", entering.enter, methods=["POST"]),
    Route("/with", mail.conversation),
    Route(_MAIL, mail.one),
    Route(f"{_MAIL}/html", mail.html),
    Route(f"{_MAIL}/source", mail.source),
    Route(_MAIL + "/part/{number:int}", mail.part),
    Route("/life", mail.life),
    Route("/outbox", records.outbox, methods=["GET"]),
    Route("/undeliverable", mail.undeliverable, methods=["GET"]),
    Route("/states", records.states, methods=["GET"]),
    Route("/threads", records.threads),
    Route("/threads/{id}", records.thread),
    Route("/timers", records.work, methods=["GET"]),
    Route("/suppressed", records.suppressed, methods=["GET"]),
    Route("/routes", code.routes),
    Route("/templates", code.templates),
    Route("/templates/frame", code.frame),
    Route("/pulse", developing.pulse),
]
_CHANGING = [
    Route("/logout", posts(entering.leave, always=True), methods=["POST"]),
    Route("/outbox", posts(records.change_outgoing), methods=["POST"]),
    Route("/undeliverable", posts(records.change_undeliverable), methods=["POST"]),
    Route("/states", posts(records.reset_state), methods=["POST"]),
    Route("/timers", posts(records.change_task), methods=["POST"]),
    Route("/suppressed", posts(records.let_in), methods=["POST"]),
]
_DEVELOPING = [
    Route("/enter", entering.by_key),
    Route("/write", developing.write, methods=["GET"]),
    Route("/write", posts(developing.send), methods=["POST"]),
    Route("/replay", posts(developing.replay), methods=["POST"]),
    Route("/mood", posts(developing.set_mood), methods=["POST"]),
    Route("/errors", developing.faults, methods=["GET"]),
    Route("/errors", posts(developing.clear_faults), methods=["POST"]),
    Route("/test", developing.test),
]
_STATIC = Mount("/static", StaticFiles(directory=STATIC))
