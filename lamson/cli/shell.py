"""`lamson shell`: Python with the application of the project at hand."""

from __future__ import annotations

import code
import importlib
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from lamson.cli.options import command, entered, option, project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.engine import Engine

    from lamson.storage.database import Database

_KNOWN = {
    "application": "the application: its router, settings and templates",
    "settings": "its settings",
    "router": "its routes: router.match('list@test.com')",
    "session": "a session on its database: what you do there needs session.commit()",
    "mailer": "sends mail: mailer.send(..., session=session) with the next commit",
}


@command("shell")
@option("command", dest="source", metavar="CODE", help="Run this instead of asking.")
@option("plain", is_flag=True, help="Python's own shell, though IPython is installed.")
def shell_command(source: str | None, plain: bool) -> None:
    """Start Python with the application loaded, a session on its database, and a mailer.

    In IPython where that is installed, else in Python's own shell. What comes from standard input
    that is no terminal is run as a program. Nothing is served, and no task is done meanwhile; mail
    that is sent waits in the outbox for the service. What was not committed is undone at the end.

    \b
    Example:
      lamson shell
      lamson shell -command "print(router.match('list@test.com'))"
    """
    from lamson.app import Application

    entered()
    application = Application.load(project())
    names: dict[str, Any] = {
        "application": application,
        "settings": application.settings,
        "router": application.router,
        "session": None,
        "mailer": None,
    }
    database = application.database
    if database is None:
        _run(names, source, plain=plain)
        return
    from sqlalchemy.orm import Session

    from lamson.mailer import Mailer

    names["mailer"] = mailer = Mailer(application.settings)
    engine = _engine(database)
    try:
        with Session(engine) as session:
            names["session"] = session
            _run(names, source, plain=plain)
    finally:
        mailer.close()
        engine.dispose()
        database.close()


def _engine(database: Database) -> Engine:
    """One that locks nothing before something is written.

    On SQLite the service's own locks the file for all that a transaction does, and this one is open
    for as long as somebody thinks.
    """
    import sqlalchemy
    from sqlalchemy import event

    engine = sqlalchemy.create_engine(database.engine.url)
    if database.is_sqlite:

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, record: object) -> None:
            connection.execute("PRAGMA foreign_keys=ON")

    return engine


def _run(names: dict[str, Any], source: str | None, *, plain: bool) -> None:
    names = {"__name__": "__console__", "__doc__": None, **names}
    if source is None and not sys.stdin.isatty():
        source = sys.stdin.read()
    if source is not None:
        _run_program(source, names)
        return
    banner = "\n".join(_banner(names))
    ipython: Any = None
    if not plain:
        with suppress(ModuleNotFoundError):
            ipython = importlib.import_module("IPython")
    if ipython is not None:
        ipython.embed(user_ns=names, banner1=banner, colors="neutral")
        return
    with suppress(ModuleNotFoundError):  # for lines that can be edited
        importlib.import_module("readline")
    code.interact(banner, local=names, exitmsg="")


def _run_program(source: str, names: dict[str, Any]) -> None:
    """Run it; where it raises, show its own lines alone, as Python would."""
    try:
        exec(compile(source, "<lamson shell>", "exec"), names)
    except Exception as error:  # noqa: BLE001 - whatever the program does
        ours = error.__traceback__
        traceback.print_exception(type(error), error, ours and ours.tb_next)
        raise click.exceptions.Exit(1) from None


def _banner(names: Mapping[str, Any]) -> Iterator[str]:
    for name, what in _KNOWN.items():
        if names[name] is not None:
            yield f"{name:12}{what}"
