"""`lamson send`: one message to a server, and what it answers for each recipient.

Or into the outbox of the project, for its service to submit.
"""

from __future__ import annotations

import mimetypes
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from lamson.cli.options import command, entered, option, port, printable
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lamson.cli.client import Outcome

REFUSED = 1


@command("send")
@option("sender", required=True, metavar="ADDRESS", help="From whom; <> is the null sender.")
@option(
    "to", required=True, multiple=True, metavar="ADDRESS", help="To whom; may be repeated, or a,b."
)
@option("subject", default="", metavar="TEXT", help="The subject.")
@option("body", metavar="TEXT", help="The text; - reads it from standard input.")
@option("attach", multiple=True, metavar="FILE", help="A file to attach; may be repeated.")
@option("file", metavar="FILE", help="Send this message (.eml) as it is; - is standard input.")
@option(
    "host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="The server, or unix:PATH.",
)
@port(8823)
@option(
    "protocol",
    type=click.Choice(["auto", "lmtp", "smtp"]),
    default="auto",
    show_default=True,
    help="auto tries LMTP first.",
)
@option("outbox", is_flag=True, help="Put it into the outbox of this project instead.")
@option(
    "at",
    metavar="TIME",
    help="With -outbox: when it leaves, such as 2027-01-31T09:00+01:00; where no zone is given, by"
    " the clock of this machine.",
)
@option("key", metavar="TEXT", help="With -outbox: send nothing where this key was used before.")
@click.pass_context
def send_command(
    context: click.Context,
    sender: str,
    to: tuple[str, ...],
    subject: str,
    body: str | None,
    attach: tuple[str, ...],
    file: str | None,
    host: str,
    port: int,
    protocol: str,
    outbox: bool,
    at: str | None,
    key: str | None,
) -> int:
    """Send a message to a server and show what it answers for each recipient.

    Exits with 1 where a recipient is refused for good, 75 where only for now, 69 where the server
    cannot be reached. With -outbox the service of the project sends it, now or when it runs; the
    Message-ID is shown. Where -key was used before, that of the mail it was used for is, and a
    line on standard error says so.

    \b
    Example:
      lamson send -sender me@mydomain.com -to test@test.com -subject "My test." \\
                  -body "Hi there." -port 8823
      lamson send -outbox -key report-2027-01-31 -sender report@test.com \\
                  -to boss@example.com -subject "Report" -body - < report.txt
    """
    from lamson.cli.client import submit

    recipients = [one.strip() for text in to for one in text.split(",") if one.strip()]
    sender = checked_sender(sender)
    for recipient in recipients:
        checked(recipient, "-to")
    if file is not None:
        if body is not None or subject or attach:
            raise click.UsageError("-file cannot go with -subject, -body or -attach")
        content = _read(file)
    else:
        text = _read("-").decode("utf-8", "replace") if body == "-" else body
        content = compose(sender, recipients, subject, text or "", attach)
    if outbox:
        for name in ("host", "port", "protocol"):
            if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
                raise click.UsageError(f"-outbox cannot go with -{name}: the service knows")
        click.echo(_put(sender, recipients, content, at, key))
        return os.EX_OK
    if at is not None or key is not None:
        raise click.UsageError("-at and -key go with -outbox")
    return report(submit(host, port, protocol, sender, recipients, content))


def _put(
    sender: str, recipients: list[str], content: bytes, at: str | None, key: str | None
) -> str:
    """Put a message into the outbox of the project; gives its Message-ID."""
    from lamson.errors import SenderError
    from lamson.mailer import Mailer
    from lamson.message.message import Message

    when = None if at is None else _time(at)
    if key == "":
        raise click.BadParameter("expected a text", param_hint="-key")
    mailer = Mailer(entered())
    try:
        done = mailer.send(content, sender=sender, to=recipients, at=when, key=key)
        if key is not None and done != (Message(content).message_id or ""):
            click.echo(f"lamson: nothing is sent: -key {key} was used before, for {done}", err=True)
        return done
    except SenderError as error:
        raise click.BadParameter(str(error), param_hint="-sender") from None
    finally:
        mailer.close()


def _time(text: str) -> datetime:
    """The time that ``-at`` says. Raises UsageError."""
    try:
        when = datetime.fromisoformat(text)
        # Where no zone is given: as the clock on the wall here says.
        return when if when.utcoffset() is not None else when.astimezone()
    except (ValueError, OverflowError):  # the year 1 has no time zones
        problem = f"expected a time such as 2027-01-31T09:00+01:00, got {text!r}"
        raise click.BadParameter(problem, param_hint="-at") from None


def checked_sender(text: str, option: str = "-sender") -> str:
    """An envelope sender; "" for the null one. Raises UsageError."""
    return "" if text in ("", "<>") else checked(text, option)


def checked(address: str, option: str) -> str:
    """The address as it is. Raises UsageError where it is none."""
    from lamson.errors import AddressError
    from lamson.smtp.address import parse_mailbox

    try:
        parse_mailbox(address, smtputf8=True)
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint=option) from None
    return address


def compose(
    sender: str, recipients: list[str], subject: str, body: str, files: Iterable[str] = ()
) -> bytes:
    """A message with Date and Message-ID. Raises LamsonError where a file cannot be read."""
    from email.utils import formatdate, make_msgid

    from lamson.message.response import MailResponse

    try:
        message = MailResponse(
            to=recipients, sender=sender or "MAILER-DAEMON@localhost", subject=subject, body=body
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    message["Date"] = formatdate(localtime=True)
    domain = sender.rpartition("@")[2]
    if not domain or not domain.isascii():
        domain = "localhost"
    message["Message-ID"] = make_msgid(domain=domain)
    for file in files:
        kind, encoding = mimetypes.guess_type(file)
        message.attach(
            _read(file),
            filename=Path(file).name,
            content_type=kind if kind and not encoding else "application/octet-stream",
        )
    return message.to_bytes()


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise LamsonError(f"{file}: {error.strerror}", exit_code=os.EX_NOINPUT) from None


def report(outcomes: Iterable[Outcome], *, only_failures: bool = False) -> int:
    """Print each outcome as it comes; gives the exit status."""
    refused = deferred = False
    for outcome in outcomes:
        refused = refused or outcome.is_refused
        deferred = deferred or outcome.is_deferred
        failed = outcome.is_refused or outcome.is_deferred
        if failed or not only_failures:
            click.echo(printable(str(outcome)), err=only_failures)
    return REFUSED if refused else os.EX_TEMPFAIL if deferred else os.EX_OK
