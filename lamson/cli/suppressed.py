"""`lamson suppressed`: who gets no mail any more, and why."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, entered, option, printable
from lamson.errors import LamsonError, SettingsError

if TYPE_CHECKING:
    from lamson.storage.database import Database
    from lamson.storage.suppressed import Suppressed


@command("suppressed")
@option("list", dest="scope", metavar="NAME", help="Of this list only: what its List-Id names.")
@option("add", metavar="ADDRESS", help="Have an address get no mail any more.")
@option("remove", metavar="ADDRESS", help="Have it get mail again, and count its failures anew.")
def suppressed_command(scope: str | None, add: str | None, remove: str | None) -> None:
    """Show who gets no mail any more, since when and why, or change that.

    Tracked mail that fails puts addresses here. Without -list an address gets none at all; with it,
    none of that list. Exits with 66 where an address to remove is not there.

    \b
    Example:
      lamson suppressed
      lamson suppressed -remove zed@example.com
    """
    if add is not None and remove is not None:
        raise click.UsageError("expected one of -add and -remove")
    database = _database()
    if add is not None:
        _add(database, add, scope or "")
    elif remove is not None:
        _remove(database, remove, scope)
    else:
        from lamson.storage import suppressed

        with database.read() as connection:
            for one in suppressed.listed(connection, scope):
                click.echo(printable(_line(one)))


def _database() -> Database:
    url = entered().database
    if url is None:
        raise SettingsError("database: none is set, so nobody is suppressed")
    from lamson.storage.database import Database

    database = Database(url)
    database.check()
    return database


def _add(database: Database, text: str, scope: str) -> None:
    from lamson.storage import suppressed
    from lamson.storage.suppressed import Suppressed

    one = Suppressed(_address(text, "-add"), scope.lower(), "by hand")
    with database.begin() as connection:
        is_new = suppressed.add(connection, one)
    click.echo(f"{'suppressed' if is_new else 'suppressed already'}: {printable(one.address)}")


def _remove(database: Database, text: str, scope: str | None) -> None:
    from lamson.storage import bounced, suppressed

    address = _address(text, "-remove")
    with database.begin() as connection:
        number = suppressed.remove(connection, address, None if scope is None else scope.lower())
        bounced.forget(connection, address)
    if not number:
        problem = f"{printable(address)} is not suppressed"
        raise LamsonError(problem, exit_code=os.EX_NOINPUT)
    click.echo(f"gets mail again: {printable(address)}")


def _address(text: str, name: str) -> str:
    from lamson.smtp import address

    try:
        return address.parse_mailbox(text, smtputf8=True)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=name) from None


def _line(one: Suppressed) -> str:
    since = datetime.fromtimestamp(one.since, UTC).strftime("%Y-%m-%d %H:%M")
    where = f"list {one.scope}" if one.scope else "all mail"
    said = f": {one.diagnostic}" if one.diagnostic else ""
    return f"{since}  {one.address}  {where}  {one.reason}{said}"
