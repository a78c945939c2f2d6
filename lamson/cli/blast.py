"""`lamson blast` and `lamson import`: hand all messages of a mailbox to a server.

What else `import` takes, members of a list, is for lamson/cli/members.py.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, option, port, printable, settings
from lamson.errors import LamsonError
from lamson.storage.undeliverable import BEGIN, Kept, read, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.storage.mailbox import Stored
    from lamson.storage.maildir import Maildir

REFUSED = 1
MAX_RECIPIENTS = 100  # of a message: more are no envelope of its

_input = option(
    "input", dest="source", required=True, metavar="PATH", help="A Maildir, or an mbox."
)
_to = option(
    "to",
    multiple=True,
    metavar="ADDRESS",
    help="To whom, whatever the messages say; may be repeated.",
)
_sender = option("sender", metavar="ADDRESS", help="From whom, whatever they say; <> is nobody.")
_failed = option(
    "failed", metavar="DIR", help="A Maildir for what was not taken, to be tried again."
)


@command("blast")
@_input
@option("host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Or unix:PATH.")
@port(8823)
@option(
    "protocol",
    type=click.Choice(["auto", "lmtp", "smtp"]),
    default="auto",
    show_default=True,
    help="auto tries LMTP first.",
)
@_to
@_sender
@_failed
def blast_command(
    source: str,
    host: str,
    port: int,
    protocol: str,
    to: tuple[str, ...],
    sender: str | None,
    failed: str | None,
) -> int:
    """Deliver all messages of a mailbox to a server, one after the other: for tests and loads.

    Without -to a message goes to its X-Original-To, else its Delivered-To, else its To and Cc; the
    envelope sender is that of the mbox, else Return-Path, else From. What was kept, with -failed or
    in run/undeliverable, goes to whom it was for. What is not taken is named on
    standard error. Exits with 1 where something was refused, 75 where only for now, 69 where the
    server cannot be reached or goes away.

    \b
    Example:
      lamson blast -input run/clean -port 8823
      lamson blast -input old.mbox -to test@test.com
    """
    return _deliver(Path(source), host, port, protocol, to, sender, failed)


@command("import")
@option(
    "input", dest="source", required=True, metavar="PATH", help="A Maildir, an mbox, or a table."
)
@_to
@_sender
@_failed
@option("members", metavar="LIST", help="Put those of a table (CSV) on this mailing list instead.")
def import_command(
    source: str, to: tuple[str, ...], sender: str | None, failed: str | None, members: str | None
) -> int:
    """Give the mail of a mailbox to the application of this project, or members to a list of it.

    With mail handlers do what they do with any, and so answer it: to import old mail quietly, give
    it by -to to an address whose handler only keeps it. The service has to run. A message that is
    imported twice is handled twice: have what was not taken put aside with -failed, and import that
    again. Recipients, senders and exit statuses are those of `lamson blast`.

    A table of members has the address first in each line, or columns that its first line names:
    address, status (active, paused, disabled), mode (mail, digest, none), owner and moderator (yes,
    no). Nobody is asked or written to, and who is on the list stays as he is. Where a line is wrong
    nobody is put on the list, and the status is 65.

    \b
    Example:
      lamson import -input ~/mail/old.mbox -to archive@test.com -failed run/left
      lamson import -input members.csv -members users@lists.example.com
    """
    if members is not None:
        from lamson.cli.members import put_on

        if to or sender is not None or failed is not None:
            raise click.UsageError("-members goes with -input alone")
        put_on(members, Path(source))
        return os.EX_OK
    from lamson.net.endpoint import from_here, split_host_port

    listen = settings().lmtp.listen
    host, number = listen, 0
    if not listen.startswith("unix:"):
        host, number = split_host_port(listen)
        host = from_here(host)
    return _deliver(Path(source), host, number, "lmtp", to, sender, failed)


def _deliver(
    path: Path,
    host: str,
    number: int,
    protocol: str,
    to: Sequence[str],
    sender: str | None,
    failed: str | None,
) -> int:
    from lamson.cli.progress import progress
    from lamson.cli.send import checked, checked_sender
    from lamson.storage import mailbox

    recipients = [checked(one, "-to") for one in to]
    given = None if sender is None else checked_sender(sender)
    left = None if failed is None else _maildir(Path(failed), path)
    came: Counter[str] = Counter()
    try:
        with progress(mailbox.size(path), "delivering") as done:
            for stored in mailbox.messages(path):
                came[_one(stored, host, number, protocol, recipients, given, left)] += 1
                done(stored.octets)
    finally:
        click.echo(", ".join(f"{came[one]} {one}" for one in ("taken", "refused", "deferred")))
    return REFUSED if came["refused"] else os.EX_TEMPFAIL if came["deferred"] else os.EX_OK


def _maildir(target: Path, source: Path) -> Maildir:
    from lamson.storage.maildir import Maildir

    if target.resolve() == source.resolve():
        raise click.UsageError("-failed is -input: that would never end")
    try:
        return Maildir(target)
    except OSError as error:
        problem = f"{error.filename or target}: {error.strerror}"
        raise LamsonError(problem, exit_code=os.EX_CANTCREAT) from None


def _one(
    stored: Stored,
    host: str,
    number: int,
    protocol: str,
    to: Sequence[str],
    sender: str | None,
    left: Maildir | None,
) -> str:
    """What became of one message, by the worst that became of its recipients."""
    from lamson.cli import client

    if stored.content is None:
        return _tell(stored, "refused", f"{stored.octets} octets are too many, or unreadable")
    content, found, recipients = _envelope(stored, stored.content)
    recipients = list(to) or recipients
    sender = found if sender is None else sender
    if not recipients or len(recipients) > MAX_RECIPIENTS:
        _keep(left, Kept(content, "it names nobody, or too many", sender, "", ""))
        return _tell(stored, "refused", f"it names {len(recipients)} recipients: say -to")
    became = "taken"
    waiting = dict.fromkeys(recipients, "the server went away")
    try:
        for outcome in client.submit(host, number, protocol, sender, recipients, content):
            if not outcome.is_refused and not outcome.is_deferred:
                del waiting[outcome.recipient]
                continue
            waiting[outcome.recipient] = f"{outcome.code} {outcome.text}"
            _tell(stored, "not taken", str(outcome))
            became = "refused" if outcome.is_refused or became == "refused" else "deferred"
    finally:
        for recipient, reason in waiting.items():
            _keep(left, Kept(content, reason, sender, recipient, stored.name))
    return became


def _keep(left: Maildir | None, kept: Kept) -> None:
    """So that it goes to that recipient, and to nobody else, when it is tried again."""
    if left is not None:
        write(left, kept)


def _tell(stored: Stored, became: str, why: str) -> str:
    click.echo(printable(f"{stored.name}: {became}: {why}"), err=True)
    return became


def _envelope(stored: Stored, content: bytes) -> tuple[bytes, str, list[str]]:
    """The message, its envelope sender, and whom it is for, as far as the mailbox tells.

    What was kept, by us or in run/undeliverable, says so on its own; else a final delivery noted
    it; else the header names somebody.
    """
    from lamson.message.request import MailRequest
    from lamson.smtp.envelope import Envelope, Recipient

    if content.startswith(BEGIN):
        kept = read(content)
        return kept.content, kept.sender, [kept.recipient] if kept.recipient else []
    message = MailRequest(content, Envelope(""), Recipient(""))
    noted = message.get_all("X-Original-To") or message.get_all("Delivered-To")[:1]
    named = [one.address for one in (*message.to, *message.cc)]
    found = (_mailbox(one) for one in ([one.strip() for one in noted] or named))
    recipients = list(dict.fromkeys(filter(None, found)))
    path = (message["Return-Path"] or "").strip()
    if stored.sender is not None:
        sender = stored.sender
    elif path.startswith("<"):
        sender = path.strip("<>")
    else:
        sender = message.content.from_address
    return content, _mailbox(sender), recipients


def _mailbox(text: str) -> str:
    """The address, "" where it is none that an envelope could have."""
    from lamson.smtp.address import parse_mailbox

    try:
        return parse_mailbox(text, smtputf8=True)
    except ValueError:
        return ""
