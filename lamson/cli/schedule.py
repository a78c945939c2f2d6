"""`lamson schedule`: the functions that run at their times, and how they ran last."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, entered, option, printable, project
from lamson.cli.tasks import moment, tables_of_the_project
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from lamson.app import Application
    from lamson.delivery.schedules import Schedules
    from lamson.storage.tasks import Task

_DRAIN = 30.0  # seconds for the mail that it made


@command("schedule")
@option("run", dest="name", metavar="NAME", help="Run a function now, besides its times.")
def schedule_command(name: str | None) -> None:
    """Show the @every functions: when each runs next, and what happened last.

    What is run by hand runs once, here or in the service, whoever is first, and is not tried again.
    The status is 1 where it failed.

    \b
    Example:
      lamson schedule
      lamson schedule -run app.handlers.digests.daily
    """
    if name is not None:
        _run(name)
        return
    from lamson.delivery.schedules import KIND, Schedules
    from lamson.settings import loading
    from lamson.settings.routes import collect_routes
    from lamson.storage import schedules, tasks

    database = tables_of_the_project()
    with loading.placing(project()):
        known = Schedules(collect_routes(entered()))
    with database.read() as connection:
        waiting, ran = tasks.named(connection, KIND), schedules.all_of(connection)
    for name, one in known.by_name.items():
        task, last = waiting.get(name), ran.get(name)
        parts = [name, str(one.schedule)]
        if task is None:
            parts.append("not taken up yet: the service does that when it starts")
        elif task.is_aside:
            parts.append(f"put aside: {task.last_error}")
        else:
            parts.append(f"next {moment(task.due_at)}")
        if last is None:
            parts.append("never ran")
        elif last.error:
            parts.append(f"failed {last.failures} times, last {moment(last.ran_at)}: {last.error}")
        else:
            parts.append(f"last {moment(last.ran_at)}, ok in {last.seconds:.3f} s")
        click.echo(printable("  ".join(parts)))


def _run(name: str) -> None:
    from lamson import log
    from lamson.app import Application
    from lamson.service import logs
    from lamson.storage.suspects import Suspects

    entered()
    application = Application.load(project())
    full_name = _find(application.schedules, name)
    logs.configure(application.settings)
    is_well, text = asyncio.run(_run_now(application, full_name))
    Suspects(application.settings.run_dir).forget(os.getpid())  # no supervisor does
    log.flush()
    click.echo(printable(text))
    if not is_well:
        click.get_current_context().exit(1)


def _find(schedules: Schedules, name: str) -> str:
    """The full name of a function that may be called by its last part alone."""
    found = [one for one in schedules.by_name if name in (one, one.rpartition(".")[2])]
    if len(found) == 1:
        return found[0]
    known = ", ".join(found or schedules.by_name) or "none"
    problem = f"{len(found)} are called {name}" if found else f"there is no schedule {name}"
    raise LamsonError(f"{problem}; there are {known}", exit_code=os.EX_USAGE)


async def _run_now(application: Application, name: str) -> tuple[bool, str]:
    from lamson.delivery.errands import Fate
    from lamson.storage import schedules

    database, runner = application.database, application.runner
    assert database is not None
    assert runner is not None
    began = time.perf_counter()
    await application.start(does_tasks=False)
    try:

        def add() -> Task:
            with database.begin() as connection:
                return application.schedules.now(connection, name)

        fate = await runner.do(await asyncio.to_thread(add))
        with database.read() as connection:
            ran = schedules.all_of(connection).get(name)
    finally:
        await application.stop(_DRAIN)
    if fate is Fate.GONE:
        return True, f"{name}: the service runs it"
    if fate is Fate.DONE:
        return True, f"{name}: ok in {time.perf_counter() - began:.3f} s"
    return False, f"{name} failed: {ran.error if ran else 'see the log'}"
