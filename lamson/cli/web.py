"""`lamson web`: the window, in production. What `lamson dev` shares with it stands here, too."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, entered, option, project
from lamson.errors import LamsonError, SettingsError
from lamson.net.listen import bind, describe
from lamson.service import daemon, logs, pidfile
from lamson.service.health import UNDELIVERABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.settings.model import Settings
    from lamson.storage.database import Database
    from lamson.web.mails import Mails
    from lamson.web.shelves import Shelves

PID_FILE = "web.pid"  # in the run directory
CAUGHT = "queue"  # there, too: where the catching server keeps mail
HANDED = "window"  # and what was written in the window
_NEEDED = ("starlette", "uvicorn", "nh3", "python_multipart")


@command("web")
@option("foreground", is_flag=True, help="Stay: for systemd and containers.")
def web_command(foreground: bool) -> None:
    """Show the mail of the project, and all that waits, to a browser.

    It asks for the password of the settings (web.secret_file), or believes the user that a proxy
    names (web.user_header); it listens on this machine alone unless told otherwise, and changes
    nothing unless web.writable is set. Stop it with: lamson stop -ALL run

    \b
    Example:
      lamson web
    """
    check_extra()
    effective = entered()
    if not effective.web.has_door:
        raise SettingsError(
            "web: nobody could enter: expected web.secret_file with a password in it, or"
            " web.user_header and web.proxies (while you develop: lamson dev)"
        )
    where = project()
    pid_file = effective.run_dir / PID_FILE

    def run(ready: Callable[[str], None]) -> None:
        logs.configure(effective, console=foreground)
        asyncio.run(_serve(where, effective, ready))

    def tell(text: str) -> None:
        click.echo(f"lamson web is listening: {text}")

    if not foreground:
        tell(daemon.daemonise(pid_file, run, effective.log_file))
        return
    with pidfile.PidFile(pid_file) as lock:

        def ready(text: str) -> None:
            lock.describe(text)
            tell(text)

        run(ready)


def check_extra() -> None:
    """Raise LamsonError where what the window needs is not installed."""
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise LamsonError(
            "the window needs more packages: pip install 'lamson-postfix[web]'",
            exit_code=os.EX_UNAVAILABLE,
        )


async def _serve(where: Path, effective: Settings, ready: Callable[[str], None]) -> None:
    from lamson.web.server import serve
    from lamson.web.sessions import Sessions
    from lamson.web.shelves import Shelves
    from lamson.web.site import site
    from lamson.web.view import Window

    database = database_of(effective)
    run = effective.run_dir
    queues = {"kept": run / UNDELIVERABLE, "sent": run / CAUGHT, "came": run / HANDED}
    window = Window(
        where,
        effective,
        mails_of(effective, database, Shelves(queues)),
        Shelves({"kept": run / UNDELIVERABLE}),
        database,
        is_writable=effective.web.writable,
    )
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leaving.set)
    settings = effective.web
    sock = bind(settings.listen, mode=settings.mode, group=settings.socket_group)
    try:
        ready(f"HTTP on {describe(sock)}")
        await serve(site(window, Sessions(settings.password)), sock, leaving)
    finally:
        if settings.unix_path is not None:
            with contextlib.suppress(FileNotFoundError):
                settings.unix_path.unlink()
        if database is not None:
            database.close()


def database_of(effective: Settings) -> Database | None:
    """The database that the settings name, None where they name none. Raises DatabaseError."""
    from lamson.storage.database import Database

    return None if effective.database is None else Database(effective.database)


def mails_of(
    effective: Settings, database: Database | None, queues: Shelves, beside: Shelves | None = None
) -> Mails:
    """What the window shows as mail: the journal, with ``beside``, or the queues without one."""
    from lamson.web.journal_mails import JournalMails

    if database is None or effective.journal.keep == "off":
        return queues
    return JournalMails(database, queues, beside)
