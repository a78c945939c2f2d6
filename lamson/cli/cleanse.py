"""`lamson cleanse`: of a heap of mail what can be read, and what is wrong with it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, option, printable
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from lamson.message.defects import Defects
    from lamson.storage.mailbox import Stored
    from lamson.storage.maildir import Maildir

LEFT_OUT = 1


@command("cleanse")
@option("input", dest="source", required=True, metavar="PATH", help="A Maildir, or an mbox.")
@option("output", dest="target", metavar="DIR", help="The Maildir to write to; none only counts.")
@option("strict", is_flag=True, help="Leave out as well what could hide something.")
def cleanse_command(source: str, target: str | None, strict: bool) -> int:
    """Read each message of a mailbox, write those that can be read, and count what is wrong.

    They are written byte for byte. Left out, and named on standard error, is what is larger than
    100 MiB, what has no header at all, and with -strict what some mail program may show otherwise
    than it is read here. Defects are counted by their kind; each kind once for a message. Exits
    with 1 where a message was left out.

    \b
    Example:
      lamson cleanse -input ~/mail/old.mbox -output run/clean
      lamson cleanse -input run/queue
    """
    from lamson.cli.progress import progress
    from lamson.storage import mailbox

    path = Path(source)
    output = None if target is None else _output(Path(target), path)
    read = written = 0
    kinds: Counter[str] = Counter()
    with progress(mailbox.size(path), "reading") as done:
        for stored in mailbox.messages(path):
            read += 1
            defects, problem = _look(stored, strict=strict)
            kinds.update({defect.kind for defect in defects or ()})
            if problem:
                click.echo(printable(f"left out {stored.name}: {problem}"), err=True)
            elif output is not None and stored.content is not None:
                _write(output, stored.content)
            written += not problem
            done(stored.octets)
    for kind, number in sorted(kinds.items()):
        click.echo(f"{number} with defects of the kind {kind}")
    verb = "can be read" if output is None else "written"
    click.echo(f"{written} of {read} message(s) {verb}")
    return os.EX_OK if written == read else LEFT_OUT


def _output(target: Path, source: Path) -> Maildir:
    from lamson.storage.maildir import Maildir

    if target.resolve() == source.resolve():
        raise click.UsageError("-output is -input: that would never end")
    try:
        return Maildir(target, safe=False)
    except OSError as error:
        problem = f"{error.filename or target}: {error.strerror}"
        raise LamsonError(problem, exit_code=os.EX_CANTCREAT) from None


def _write(output: Maildir, content: bytes) -> None:
    try:
        output.push(content)
    except OSError as error:
        problem = f"{output.path}: {error.strerror}"
        raise LamsonError(problem, exit_code=os.EX_IOERR) from None


def _look(stored: Stored, *, strict: bool) -> tuple[Defects | None, str]:
    """What is wrong with it; and why it is left out, "" where it is not."""
    from lamson.message.request import MailRequest
    from lamson.smtp.envelope import Envelope, Recipient

    if stored.content is None:
        return None, f"{stored.octets} octets are too many, or it cannot be read"
    message = MailRequest(stored.content, Envelope(""), Recipient(""))
    if not message.content.header.items():
        return None, "it has no header"
    defects = message.defects
    if strict and defects.could_hide:
        return defects, f"it could hide something: {', '.join(defects[:3])}"
    return defects, ""
