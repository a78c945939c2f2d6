"""The archive, and leaving by a click: `uvicorn --factory app.web:web` serves them."""

from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from lamson import Mailer
from lamson.lists import MailingList, OneClick, known_lists
from sqlalchemy.orm import Session

from app.lists import HOST, named

SHOWN = 20  # posts on a page
# What strangers wrote is text: nothing of it is run, or fetched.
HEADERS = {"Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer"}

pages = Jinja2Templates(Path(__file__).parent / "pages")
archive = APIRouter(default_response_class=HTMLResponse)


@cache
def project() -> Mailer:  # plumbing
    return Mailer.of()  # plumbing


Project = Annotated[Mailer, Depends(project)]  # plumbing


def web(one_click: OneClick | None = None) -> FastAPI:
    """The application; a test has its own ``one_click``."""
    app = FastAPI(openapi_url=None)
    app.include_router(archive)
    app.mount("/leave", one_click or OneClick())
    return app


@archive.get("/")
def index(request: Request, mailer: Project) -> HTMLResponse:
    with mailer.begin() as db:
        return page(request, "index.html", lists=known_lists(db))


@archive.get("/archive/{name}")
def posts(request: Request, name: str, mailer: Project, before: int | None = None) -> HTMLResponse:
    with mailer.begin() as db:
        found = find(db, name).posts(db, most=SHOWN, before=before)
    return page(request, "posts.html", name=name, posts=found, is_full=len(found) == SHOWN)


@archive.get("/archive/{name}/{id}")
def post(request: Request, name: str, id: int, mailer: Project) -> HTMLResponse:
    with mailer.begin() as db:
        found = find(db, name).archived(db, id)
    if found is None:
        raise HTTPException(404, "there is no such post")
    return page(request, "post.html", name=name, post=found)


def find(db: Session, name: str) -> MailingList:
    if f"{name}@{HOST}" not in known_lists(db):
        raise HTTPException(404, "there is no such list")
    return named(name)


def page(request: Request, template: str, **shown: object) -> HTMLResponse:
    return pages.TemplateResponse(request, template, shown, headers=HEADERS)
