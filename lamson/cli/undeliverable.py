"""`lamson undeliverable`: what was kept since it could not be delivered, why, and what to do."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from lamson.cli.options import ask, command, option, printable
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from lamson.storage.maildir import Maildir
    from lamson.storage.undeliverable import Kept

FAILED = 1


@command("undeliverable")
@option("list", dest="listing", is_flag=True, help="List the messages (what happens by default).")
@option("count", is_flag=True, help="Print how many there are.")
@option("show", metavar="KEY", help="Print a message; why it is here to standard error.")
@option("requeue", metavar="KEY|ALL", help="Run the handler of a message again, or of all.")
@option("drop", metavar="KEY|ALL", help="Delete a message, or all; asks first.")
@option("name", default="run/undeliverable", show_default=True, metavar="DIR", help="The queue.")
@option("recipient", metavar="ADDRESS", help="With -requeue: to this address instead.")
@option("FORCE", is_flag=True, help="Drop without asking.")
def undeliverable_command(
    listing: bool,
    count: bool,
    show: str | None,
    requeue: str | None,
    drop: str | None,
    name: str,
    recipient: str | None,
    force: bool,
) -> int:
    """Look at what could not be delivered: list it, show it, handle it again, or delete it.

    The list has key, time, envelope sender and recipient, subject and reason. `-requeue` is what
    `lamson requeue` does, and takes all; what succeeds leaves the queue, and the status is 1 where
    something stays. `-show` gives the message as it came.

    \b
    Example:
      lamson undeliverable
      lamson undeliverable -requeue ALL
    """
    wanted = (listing, count, show is not None, requeue is not None, drop is not None)
    if sum(wanted) > 1:
        raise click.UsageError("expected one of -list, -count, -show, -requeue and -drop")
    if recipient is not None and requeue is None:
        raise click.UsageError("-recipient goes with -requeue")
    queue = _queue(name)
    if count:
        click.echo(queue.count())
    elif show is not None:
        _show(queue, show)
    elif requeue is not None:
        return _requeue(queue, requeue, name, recipient)
    elif drop is not None:
        _drop(queue, drop, force=force)
    else:
        _list(queue)
    return os.EX_OK


def _queue(name: str) -> Maildir:
    from lamson.cli.queue import directory_of
    from lamson.service import premises
    from lamson.storage.maildir import Maildir

    directory = directory_of(name)
    premises.own(directory)
    return Maildir(directory)


def _list(queue: Maildir) -> None:
    from lamson.storage.undeliverable import read

    for key in queue.keys():  # noqa: SIM118
        stored = queue.get(key)
        if stored is not None:
            click.echo(_line(key, read(stored)))


def _line(key: str, kept: Kept) -> str:
    from lamson.message.request import MailRequest
    from lamson.smtp.envelope import Envelope, Recipient

    subject = MailRequest(kept.content, Envelope(""), Recipient("")).subject
    seconds = key.partition(".")[0]
    since = "-"
    if seconds.isdecimal() and len(seconds) < 12:
        since = datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d %H:%M")
    return printable(
        f"{key}  {since}  <{kept.sender}> to {kept.recipient or '-'}  {subject or '-'}"
        f"  {kept.reason or 'for no reason that is known'}"
    )


def _show(queue: Maildir, key: str) -> None:
    from lamson.storage.undeliverable import read

    kept = read(_get(queue, key))
    for what in ("reason", "sender", "recipient", "id", "state"):
        if value := getattr(kept, what):
            click.echo(printable(f"{what}: {value}"), err=True)
    sys.stdout.buffer.write(kept.content)
    sys.stdout.buffer.flush()


def _get(queue: Maildir, key: str) -> bytes:
    stored = queue.get(key)
    if stored is None:
        problem = f"{queue.path}: there is no message {key}"
        raise LamsonError(problem, exit_code=os.EX_NOINPUT)
    return stored


def _requeue(queue: Maildir, which: str, name: str, recipient: str | None) -> int:
    from lamson.cli import requeue

    keys = queue.keys() if which.upper() == "ALL" else [which]
    if not keys:
        click.echo("there is none")
        return os.EX_OK
    return os.EX_OK if requeue.requeue(keys, name, recipient) else FAILED


def _drop(queue: Maildir, which: str, *, force: bool) -> None:
    from lamson.storage.undeliverable import read

    if which.upper() == "ALL":
        if not force and queue.count():
            ask(f"Delete {queue.count()} message(s) of {queue.path}?")
        click.echo(f"dropped {queue.clear()} message(s)")
        return
    stored = _get(queue, which)
    if not force:
        ask(f"Delete {_line(which, read(stored))}?")
    queue.remove(which)
    click.echo(f"dropped {which}")
