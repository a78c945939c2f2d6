"""`lamson send`: one message to a server, and what it answers for each recipient."""

from __future__ import annotations

import mimetypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, option, port, printable
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
def send_command(
    sender: str,
    to: tuple[str, ...],
    subject: str,
    body: str | None,
    attach: tuple[str, ...],
    file: str | None,
    host: str,
    port: int,
    protocol: str,
) -> int:
    """Send a message to a server and show what it answers for each recipient.

    Exits with 1 where a recipient is refused for good, 75 where only for now, 69 where the server
    cannot be reached.

    \b
    Example:
      lamson send -sender me@mydomain.com -to test@test.com -subject "My test." \\
                  -body "Hi there." -port 8823
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
    return report(submit(host, port, protocol, sender, recipients, content))


def checked_sender(text: str) -> str:
    """An envelope sender; "" for the null one. Raises UsageError."""
    return "" if text in ("", "<>") else checked(text, "-sender")


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
    message["Message-ID"] = make_msgid(domain="localhost")
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
