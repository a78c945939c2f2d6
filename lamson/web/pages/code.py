"""Pages about the code of the project: its routes and its templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response

from lamson.errors import LamsonError
from lamson.web import safe_html
from lamson.web.inquiry import inquire
from lamson.web.view import show, window_of

if TYPE_CHECKING:
    from starlette.requests import Request


def routes(request: Request) -> Response:
    """The routes in order, and for an address why each matches or does not."""
    address = request.query_params.get("address", "").strip()[:320]
    project = window_of(request).project
    explained, problem, listed = None, "", []
    try:
        if address:
            explained = inquire(project, "explain", address=address)
            listed = explained["routes"]
        else:
            listed = inquire(project, "routes")["routes"]
    except LamsonError as error:
        problem = str(error)
    return show(
        request,
        "routes.html",
        "Routes",
        address=address,
        explained=explained,
        problem=problem,
        routes=listed,
    )


def templates(request: Request) -> Response:
    """The templates, and one of them with sample data."""
    project = window_of(request).project
    name = request.query_params.get("name", "")[:255]
    problem, preview, names = "", None, []
    try:
        names = inquire(project, "templates")["templates"]
        if name:
            preview = inquire(project, "preview", template=name)
    except LamsonError as error:
        problem = str(error)
    width = request.query_params.get("width", "wide")
    return show(
        request,
        "templates.html",
        "Templates",
        names=names,
        name=name,
        preview=preview,
        problem=problem,
        width=width if width in ("wide", "narrow") else "wide",
    )


def frame(request: Request) -> Response:
    """The HTML that a template makes, for a frame without rights."""
    name = request.query_params.get("name", "")[:255]
    page = inquire(window_of(request).project, "preview", template=name)["html"]
    policy = safe_html.POLICY.format(remote="")
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})
