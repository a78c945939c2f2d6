"""`lamson outbox`: the mail that was committed and that Postfix has not taken yet."""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

import click

from lamson.cli.options import ask, command, entered, option, printable
from lamson.errors import LamsonError, SettingsError

FEW = 5  # recipients that are shown
MOST = 1000  # messages that wait for their time that are shown

if TYPE_CHECKING:
    from lamson.storage.outbox import Outbox
    from lamson.storage.outgoing import Outgoing


@command("outbox")
@option("list", dest="listing", is_flag=True, help="List the messages (what happens by default).")
@option("count", is_flag=True, help="Print how many there are that are due.")
@option("show", type=int, metavar="ID", help="Print a message; whom it is for to standard error.")
@option("retry", metavar="ID|ALL", help="Have a message tried again now, or all of them.")
@option("drop", type=int, metavar="ID", help="Delete a message unsent; asks first.")
@option("FORCE", is_flag=True, help="Drop without asking.")
def outbox_command(
    listing: bool, count: bool, show: int | None, retry: str | None, drop: int | None, force: bool
) -> None:
    """Look into the outbox: what was sent and Postfix has not taken yet, and what is due later.

    \b
    Example:
      lamson outbox
      lamson outbox -retry ALL
    """
    if sum((listing, count, show is not None, retry is not None, drop is not None)) > 1:
        raise click.UsageError("expected one of -list, -count, -show, -retry and -drop")
    outbox = _outbox()
    if count:
        click.echo(outbox.count())
    elif show is not None:
        _show(outbox, show)
    elif retry is not None:
        _retry(outbox, retry)
    elif drop is not None:
        row = _get(outbox, drop)
        if not force:
            ask(f"Delete {_line(row)}?")
        outbox.drop(drop)
        click.echo(f"dropped {drop}")
    else:
        for row in outbox.all():
            click.echo(printable(_line(row)))
        later = outbox.scheduled(MOST + 1)
        for row in later[:MOST]:
            click.echo(printable(_line(row)))
        if len(later) > MOST:
            click.echo("... and more that is due after that")


def _outbox() -> Outbox:
    url = entered().database
    if url is None:
        raise SettingsError("database: none is set, so there is no outbox")
    from lamson.storage.database import Database
    from lamson.storage.outbox import Outbox

    database = Database(url)
    database.check()
    return Outbox(database, f"command:{os.getpid()}")


def _get(outbox: Outbox, id: int) -> Outgoing:
    row = outbox.get(id)
    if row is None:
        raise _gone(id)
    return row


def _show(outbox: Outbox, id: int) -> None:
    row, content = _get(outbox, id), outbox.content(id)
    if content is None:
        raise _gone(id)
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
    click.echo(f"from <{printable(row.sender)}> to {len(row.recipients)} recipient(s):", err=True)
    for recipient in row.recipients:
        click.echo(f"  <{printable(recipient)}>", err=True)


def _gone(id: int) -> LamsonError:
    problem = f"there is no message {id} in the outbox; it may have been sent by now"
    return LamsonError(problem, exit_code=os.EX_NOINPUT)


def _retry(outbox: Outbox, which: str) -> None:
    if which.upper() == "ALL":
        number = outbox.retry(None)
    elif which.isdecimal():
        number = outbox.retry(_get(outbox, int(which)).id)
    else:
        raise click.BadParameter(f"expected ID or ALL, got {which!r}", param_hint="-retry")
    click.echo(f"{number} message(s) will be tried at the next sweep, in some seconds")


def _line(row: Outgoing) -> str:
    from lamson.storage.outgoing import few

    now = time.time()
    age = f"{now - row.created_at:.0f}s old"
    tried = f"tried {row.attempts} times: {row.last_error}" if row.attempts else "not tried yet"
    if not row.attempts and row.due_at > max(now, row.created_at):
        age = datetime.fromtimestamp(row.due_at).astimezone().isoformat(" ", "seconds")
        tried = f"due in {_span(row.due_at - now)}"
        if row.last_error:
            tried += f": {row.last_error}"
    recipients = few(row.recipients, FEW).replace(",", ", ")
    if len(row.recipients) > FEW:
        recipients = f"{len(row.recipients)} recipients ({recipients})"
    name = row.message_id or "(no Message-ID)"
    return f"{row.id}  {age}  <{row.sender}> to {recipients}  {name}  {tried}"


def _span(seconds: float) -> str:
    """A time to wait, as people say it."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
