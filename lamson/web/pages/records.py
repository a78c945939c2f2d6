"""Pages about what waits in the database, and what may be done about it."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.storage import LARGEST_ID, journal_search, schedules, tasks
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from lamson.web import records
from lamson.web.view import PAGE, missing, show, tell, text, window_of

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

REQUEUE_TIMEOUT = 120.0  # seconds that a handler may take here


def outbox(request: Request) -> Response:
    """What was sent and has not left yet: due now, and later."""
    after, later_after = _number(request, "after"), _pair(request, "later")
    with window_of(request).read() as connection:
        due = records.outgoing(connection, PAGE + 1, after)
        later = records.later(connection, PAGE + 1, later_after)
    return show(
        request,
        "outbox.html",
        "Outbox",
        due=due[:PAGE],
        later=later[:PAGE],
        more_due=due[PAGE - 1].id if len(due) > PAGE else "",
        more_later=f"{later[PAGE - 1].due_at!r},{later[PAGE - 1].id}" if len(later) > PAGE else "",
        now=time.time(),
    )


def states(request: Request) -> Response:
    """Where correspondents stand."""
    author = request.query_params.get("author", "").strip()[:320]
    machine, _, last = request.query_params.get("after", "").partition(",")
    with window_of(request).read() as connection:
        moves = []
        if author:
            found = records.standings_of(connection, author)
            moves = journal_search.moves(connection, author)[:PAGE]
        else:
            after = (machine, last) if machine else None
            found = records.standings(connection, PAGE + 1, after)
    shown = found if author else found[:PAGE]
    more = f"{shown[-1].machine},{shown[-1].author}" if len(found) > len(shown) else ""
    return show(
        request,
        "states.html",
        "States",
        states=shown,
        more=more,
        author=author,
        moves=moves,
        is_journaled=window_of(request).settings.journal.keep != "off",
    )


def threads(request: Request) -> Response:
    """Conversations about one thing."""
    used, _, id = request.query_params.get("before", "").partition(",")
    before = (float(used), id) if _is_number(used) and id else None
    with window_of(request).read() as connection:
        found = records.thread_lines(connection, PAGE + 1, before)
    last = found[PAGE - 1] if len(found) > PAGE else None
    more = f"{last.used_at!r},{last.id}" if last else ""
    return show(request, "threads.html", "Threads", threads=found[:PAGE], more=more)


def thread(request: Request) -> Response:
    """One of them: who takes part, what was said."""
    with window_of(request).read() as connection:
        found = records.thread(connection, request.path_params["id"])
    if found is None:
        missing("There is no such thread")
    line, who, said = found
    return show(
        request, "thread.html", line.subject or "(no subject)", thread=line, who=who, said=said
    )


def work(request: Request) -> Response:
    """Timers, schedules, and other work that waits for its time."""
    with window_of(request).read() as connection:
        found = records.work(connection, PAGE + 1, _pair(request, "after"))
        ran = schedules.all_of(connection)
    last = found[PAGE - 1] if len(found) > PAGE else None
    more = f"{last.due_at!r},{last.id}" if last else ""
    return show(request, "work.html", "Timers", tasks=found[:PAGE], ran=ran, more=more)


def suppressed(request: Request) -> Response:
    """Who gets no mail any more."""
    wanted = request.query_params.get("address", "").strip()[:320]
    scope = request.query_params.get("list", "").strip()[:320]
    with window_of(request).read() as connection:
        if wanted:
            found = records.out_at(connection, wanted, scope)
        else:
            after = request.query_params.get("after", "")
            found = records.out(connection, PAGE + 1, after)
    more = found[PAGE - 1][0] if len(found) > PAGE else ""
    return show(
        request,
        "suppressed.html",
        "Suppressed",
        suppressed=[one for _, one in found[:PAGE]],
        more=more,
        wanted=wanted,
        scope=scope,
    )


def change_outgoing(request: Request, form: FormData) -> str:
    """Have a mail of the outbox tried now, or drop it."""
    window = window_of(request)
    if window.database is None:
        raise LamsonError("no database is set, so there is no outbox")
    box, id = Outbox(window.database, "window"), _id(form)
    row = box.get(id)
    if row is None:
        raise LamsonError(f"there is no message {id} in the outbox; it may have been sent by now")
    if text(form, "do") == "drop":
        box.drop(id)
        tell(request, f"Dropped message {id}")
    else:
        box.retry(id)
        tell(request, f"Message {id} is tried at the next sweep, in some seconds")
    return "/outbox"


def reset_state(request: Request, form: FormData) -> str:
    """Have a correspondent begin anew."""
    machine, author = text(form, "machine"), text(form, "author")
    with window_of(request).begin() as connection:
        is_gone = records.reset(connection, machine, author)
    tell(request, f"{author} begins anew in {machine}" if is_gone else "It was reset already")
    return text(form, "back") or "/states"


def change_task(request: Request, form: FormData) -> str:
    """Have a task done now, or drop it."""
    id = _id(form)
    with window_of(request).begin() as connection:
        if text(form, "do") == "drop":
            is_done = tasks.drop(connection, id)
        else:
            is_done = tasks.retry(connection, time.time(), id) > 0
    tell(request, f"Task {id}: done" if is_done else f"Task {id} is not there any more")
    return "/timers"


def let_in(request: Request, form: FormData) -> str:
    """Have somebody get mail again."""
    address = text(form, "address")
    with window_of(request).begin() as connection:
        number = records.let_in(connection, address, text(form, "scope"))
    tell(request, f"{address} gets mail again" if number else f"{address} is not suppressed")
    return "/suppressed"


def change_undeliverable(request: Request, form: FormData) -> str:
    """Give an undeliverable mail to its handler again, or remove it."""
    window = window_of(request)
    id = text(form, "id")
    mail = window.kept.get(id)
    if mail is None:
        raise LamsonError("there is no such mail; it may have been handled by now")
    key = id.partition("/")[2]
    if text(form, "do") == "remove":
        Maildir(window.settings.run_dir / "undeliverable").remove(key)
        tell(request, f"Removed {mail.subject!r}")
        return "/undeliverable"
    directory = window.settings.run_dir / "undeliverable"
    try:  # in a process of its own: it runs the project's code
        done = subprocess.run(
            [sys.executable, "-m", "lamson", "requeue", "-name", str(directory), key],
            capture_output=True,
            cwd=window.project,
            timeout=REQUEUE_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LamsonError("its handler takes longer than two minutes; see the log") from None
    said = (done.stdout or done.stderr).decode("utf-8", "replace").strip()
    tell(request, said or "It was handled")
    return "/undeliverable"


def _id(form: FormData) -> int:
    given = text(form, "id")
    if not _is_id(given):
        raise LamsonError("expected a number")
    return int(given)


def _number(request: Request, name: str) -> int:
    given = request.query_params.get(name, "")
    return int(given) if _is_id(given) else 0


def _pair(request: Request, name: str) -> tuple[float, int] | None:
    at, _, id = request.query_params.get(name, "").partition(",")
    return (float(at), int(id)) if _is_number(at) and _is_id(id) else None


def _is_id(given: str) -> bool:
    """Whether a row may have it; the database raises where it is asked for a larger one."""
    return given.isdecimal() and len(given) < 20 and int(given) <= LARGEST_ID


def _is_number(given: str) -> bool:
    try:
        return abs(float(given)) < 1e15
    except ValueError:
        return False
