"""`lamson queue`: look into a queue of messages (a Maildir), and take some out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamson.cli.options import ask, command, option, printable, project
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from lamson.storage.maildir import Maildir


@command("queue")
@option("name", default="run/undeliverable", show_default=True, metavar="DIR", help="The queue.")
@option(
    "list",
    "keys",
    dest="listing",
    is_flag=True,
    help="List the messages (what happens by default).",
)
@option("count", is_flag=True, help="Print how many there are.")
@option("show", "get", metavar="KEY", help="Print a message.")
@option("pop", is_flag=True, help="Print the oldest message and remove it.")
@option("remove", metavar="KEY", help="Remove a message.")
@option("clear", is_flag=True, help="Remove all; asks first.")
@option("FORCE", is_flag=True, help="Clear without asking.")
def queue_command(
    name: str,
    listing: bool,
    count: bool,
    show: str | None,
    pop: bool,
    remove: str | None,
    clear: bool,
    force: bool,
) -> None:
    """Look into a queue of messages: those that could not be delivered, or those of `lamson log`.

    A queue is a Maildir, so that mutt -f run/undeliverable reads it too.

    \b
    Example:
      lamson queue -name run/undeliverable
      lamson queue -name run/queue -show KEY
    """
    if sum(map(bool, (listing, count, show, pop, remove, clear))) > 1:
        raise click.UsageError("expected one of -list, -count, -show, -pop, -remove and -clear")
    directory = directory_of(name)
    from lamson.service import premises
    from lamson.storage.maildir import Maildir

    premises.own(directory)
    queue = Maildir(directory)
    if count:
        click.echo(queue.count())
    elif show is not None:
        content = queue.get(show)
        if content is None:
            raise _no_message(show, directory)
        sys.stdout.buffer.write(content)
    elif pop:
        _pop(queue)
    elif remove is not None:
        if not queue.remove(remove):
            raise _no_message(remove, directory)
        click.echo(f"removed {remove}")
    elif clear:
        if not force and queue.count():
            ask(f"Remove {queue.count()} message(s) from {directory}?")
        click.echo(f"removed {queue.clear()} message(s)")
    else:
        for key, content in ((key, queue.get(key)) for key in queue.keys()):  # noqa: SIM118
            if content is not None:
                click.echo(_line(key, content))


def _pop(queue: Maildir) -> None:
    """Print the oldest message, and remove it only then: what cannot be written is not lost."""
    for key in queue.keys():  # noqa: SIM118
        content = queue.get(key)
        if content is not None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
            queue.remove(key)
            return
    raise LamsonError(f"{queue.path}: there is no message", exit_code=os.EX_NOINPUT)


def directory_of(name: str) -> Path:
    """The queue, by its path from here or from the project. Raises LamsonError without one."""
    directory = Path(name)
    if not directory.is_dir() and not directory.is_absolute():
        directory = project() / name
    if not (directory / "new").is_dir():
        raise LamsonError(f"{directory}: there is no queue (Maildir) here", exit_code=os.EX_NOINPUT)
    return directory


def _line(key: str, content: bytes) -> str:
    from lamson.message.request import MailRequest
    from lamson.smtp.envelope import Envelope, Recipient

    message = MailRequest(content, Envelope(""), Recipient(""))
    return printable(f"{key}  {len(content):8}  {message['From'] or '-'}  {message.subject}")


def _no_message(key: str, directory: Path) -> LamsonError:
    return LamsonError(f"{directory}: there is no message {key}", exit_code=os.EX_NOINPUT)
