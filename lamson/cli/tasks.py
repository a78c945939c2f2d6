"""`lamson tasks`: the work that waits in the database, for its time or for somebody to do it."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import click

from lamson.cli.options import ask, command, entered, option, printable
from lamson.errors import LamsonError, SettingsError
from lamson.storage import tasks
from lamson.storage.state import StateKey
from lamson.storage.threads import thread_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lamson.storage.database import Database
    from lamson.storage.tasks import Task

MOST = 1000  # tasks that are listed
KINDS = ("timer", "every", "later", "outcome")


@command("tasks")
@option("list", dest="listing", is_flag=True, help="List the tasks (what happens by default).")
@option("count", is_flag=True, help="Print how many there are.")
@option(
    "kind",
    metavar="KIND",
    type=click.Choice(KINDS),
    help="List those of a kind: timer, every, later or outcome.",
)
@option("show", type=int, metavar="ID", help="Print all that a task says.")
@option("retry", metavar="ID|ALL", help="Have a task done now, or all that failed.")
@option("drop", type=int, metavar="ID", help="Delete a task undone; asks first.")
@option("FORCE", is_flag=True, help="Drop without asking.")
def tasks_command(
    listing: bool,
    count: bool,
    kind: str | None,
    show: int | None,
    retry: str | None,
    drop: int | None,
    force: bool,
) -> None:
    """Look at the work that waits: timeouts, schedules, work after a commit.

    The first thousand are listed, in the order in which they are due. What is put aside is not
    tried any more: it failed too often, or ended five worker processes.

    \b
    Example:
      lamson tasks
      lamson tasks -retry ALL
    """
    if sum((listing, count, show is not None, retry is not None, drop is not None)) > 1:
        raise click.UsageError("expected one of -list, -count, -show, -retry and -drop")
    database = tables_of_the_project()
    if count:
        with database.read() as connection:
            click.echo(tasks.count(connection))
    elif show is not None:
        with database.read() as connection:
            _show(_get(connection, show))
    elif retry is not None:
        _retry(database, retry)
    elif drop is not None:
        _drop(database, drop, force=force)
    else:
        with database.read() as connection:
            waiting = tasks.waiting(connection, kind, MOST)
        for task in waiting:
            click.echo(printable(_line(task)))


def tables_of_the_project() -> Database:
    """The database that the settings name. Raises SettingsError, DatabaseError."""
    url = entered().database
    if url is None:
        raise SettingsError("database: none is set, so nothing waits in it")
    from lamson.storage.database import Database

    database = Database(url)
    database.check()
    return database


def moment(seconds: float) -> str:
    """A time as people read it, in their own zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def _get(connection: Connection, id: int) -> Task:
    task = tasks.get(connection, id)
    if task is None:
        problem = f"there is no task {id}; it may have been done by now"
        raise LamsonError(problem, exit_code=os.EX_NOINPUT)
    return task


def _retry(database: Database, which: str) -> None:
    if which.upper() != "ALL" and not which.isdecimal():
        raise click.BadParameter(f"expected ID or ALL, got {which!r}", param_hint="-retry")
    with database.begin() as connection:
        id = None if which.upper() == "ALL" else _get(connection, int(which)).id
        number = tasks.retry(connection, time.time(), id)
    click.echo(f"{number} task(s) will be done by the service within a second, where it runs")


def _drop(database: Database, id: int, *, force: bool) -> None:
    with database.read() as connection:
        task = _get(connection, id)
    if not force:
        ask(f"Delete {printable(_line(task))}?")
    with database.begin() as connection:
        _get(connection, id)
        tasks.drop(connection, id)
    click.echo(f"dropped {id}")


def _show(task: Task) -> None:
    click.echo(printable(_line(task)))
    click.echo(f"made: {moment(task.made_at)}")
    click.echo(f"payload: {json.dumps(task.payload)}")  # escapes whatever is no ASCII


def _line(task: Task) -> str:
    when = "put aside" if task.is_aside else f"due {moment(task.due_at)}"
    failed = f"  failed {task.attempts} times: {task.last_error}" if task.attempts else ""
    return f"{task.id}  {task.kind}  {_what(task)}  {when}{failed}"


def _what(task: Task) -> str:
    """What it is about, in the words of its kind."""
    payload = task.payload if isinstance(task.payload, dict) else {}
    if task.kind == "timer" and "author" in payload:
        module = payload["module"]
        key = StateKey(payload.get("machine", ""), payload["author"])
        thread_id = thread_of(module, key)
        who = f"thread {thread_id}" if thread_id else key.author or key.module
        return f"{who} in {module}.{payload['state']}"
    return task.name
