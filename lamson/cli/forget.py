"""`lamson forget`: erase what is kept of a correspondent."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from lamson.cli.options import ask, command, entered, option, printable
from lamson.errors import LamsonError, SettingsError

if TYPE_CHECKING:
    from lamson.storage.database import Database
    from lamson.storage.erasure import Forgotten

_LEFT = (
    "not touched: the application's own tables, what @background tasks were given, what filters",
    "remember, the logs, and mail in run/undeliverable and run/spam (lamson queue)",
)


class _LookedAtError(Exception):
    """Undoes the transaction."""


@command("forget")
@click.argument("address")
@option("dry-run", "n", is_flag=True, help="Show what would go, and erase nothing.")
@option("suppressed", is_flag=True, help="Forget too that the address gets no mail any more.")
@option("FORCE", is_flag=True, help="Erase without asking.")
def forget_command(address: str, dry_run: bool, suppressed: bool, force: bool) -> None:
    """Erase a correspondent: his mail in the journal, his threads, states, timers and pending mail,
    mail to him that waits or is tracked, the keys that such mail was sent by, his places on mailing
    lists and his posts to them.

    Says what went. What several share loses his part alone. What the application keeps in tables of
    its own is for the application. Exits with 66 where nothing is known of the address.

    \b
    Example:
      lamson forget zed@example.com -dry-run
      lamson forget zed@example.com
    """
    from lamson.storage import erasure

    mailbox = _address(address)
    database = _database()
    done = _looked_at(database, mailbox, suppressed)
    if not any(done.numbers.values()):
        _under_way(done)
        problem = f"nothing is kept of {printable(mailbox)}"
        raise LamsonError(problem, exit_code=os.EX_NOINPUT)
    if dry_run:
        _tell(done, "would be erased")
        return
    if not force:
        _tell(done, "is to be erased")
        ask(f"Erase what is kept of {printable(mailbox)}?")
    with database.begin() as connection:
        done = erasure.forget(connection, mailbox, time.time(), is_unsuppressed=suppressed)
    _tell(done, "erased")
    if database.is_sqlite:
        _empty_log(database)


def _empty_log(database: Database) -> None:
    """What was erased stands in SQLite's log as well."""
    from lamson.storage import sqlite

    with database.read() as connection:
        if not sqlite.empty_log(connection):
            click.echo(
                "lamson: the database is being read, so its log has what was erased until it begins"
                " anew",
                err=True,
            )


def _looked_at(database: Database, mailbox: str, is_unsuppressed: bool) -> Forgotten:
    from lamson.storage import erasure

    found: Forgotten | None = None
    try:
        with database.begin() as connection:
            found = erasure.forget(
                connection, mailbox, time.time(), is_unsuppressed=is_unsuppressed
            )
            raise _LookedAtError
    except _LookedAtError:
        assert found is not None
        return found


def _tell(done: Forgotten, how: str) -> None:
    for place, number in done.numbers.items():
        if number:
            click.echo(f"{how}: {place}: {number}")
    _under_way(done)
    for line in _LEFT:
        click.echo(line)


def _under_way(done: Forgotten) -> None:
    if done.under_way:
        click.echo(
            f"lamson: {done.under_way} message(s) of or to that address are under way just now: "
            "look again in some minutes",
            err=True,
        )


def _database() -> Database:
    url = entered().database
    if url is None:
        raise SettingsError("database: none is set, so nothing is kept")
    from lamson.storage.database import Database

    database = Database(url)
    database.check()
    return database


def _address(text: str) -> str:
    from lamson.smtp import address

    try:
        return address.normalise(address.parse_mailbox(text, smtputf8=True))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ADDRESS") from None
