"""`lamson sendmail`: takes a message from standard input, as sendmail(1) does, for mutt and others.

It understands the options that mail programs pass and does nothing with those that have no meaning
here. Exit statuses are those of sysexits(3), which such programs know.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import formatdate, getaddresses, make_msgid
from getopt import GetoptError, getopt
from typing import TYPE_CHECKING

import click

from lamson.cli.options import Command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.message import Message

# sendmail(1)'s options, with a colon where one has a value.
_OPTIONS = "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q:tvx"
_OURS = {"host": "127.0.0.1", "port": "8823", "protocol": "auto"}
_RECIPIENT_FIELDS = ("to", "cc", "bcc")
_BCC = re.compile(rb"^bcc[ \t]*:.*(?:\r?\n[ \t].*)*\r?\n?", re.IGNORECASE | re.MULTILINE)
_BARE_CR = re.compile(rb"\r(?!\n)")
_HEADER_END = re.compile(rb"(?m)^\r?\n")
_LONE_DOT = re.compile(rb"(?m)^\.\r?\n")


class _Verbatim(Command):
    """Leaves the arguments alone: sendmail's options are not click's (-oem, -f with a value)."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in ("-help", "--help"):
            click.echo(self.get_help(ctx))
            ctx.exit()
        ctx.params["arguments"] = args
        return []


@click.command("sendmail", cls=_Verbatim, options_metavar="[OPTIONS]", add_help_option=False)
def sendmail_command(arguments: Sequence[str]) -> int:
    """Send the message on standard input, as sendmail(1) does: [OPTIONS] [RECIPIENTS].

    \b
    Options:
      -host ADDRESS      the server, or unix:PATH   [default: 127.0.0.1]
      -port NUMBER       its port                   [default: 8823]
      -protocol NAME     auto, lmtp or smtp         [default: auto]
      -f ADDRESS         the envelope sender        [default: that of the From field]
      -t                 recipients are those of the fields To, Cc and Bcc; Bcc is taken out
      -i, -oi            a line with a dot alone does not end the message

    Other options of sendmail(1) are accepted and do nothing.

    \b
    Example:
      set sendmail="lamson sendmail -port 8823"        (in a muttrc)
    """
    from lamson.cli.client import submit
    from lamson.cli.send import checked, checked_sender, report

    ours, options, recipients = _parsed(arguments)
    content = sys.stdin.buffer.read()
    if not ("-i" in options or "i" in options.get("-o", [])):
        content = _LONE_DOT.split(content, maxsplit=1)[0]
    if content.startswith(b"From "):  # a mailbox's separator line
        content = content.partition(b"\n")[2]
    content = _with_lines(content)
    header = BytesHeaderParser(policy=compat32).parsebytes(content)
    if "-t" in options:
        recipients += _addresses(header, *_RECIPIENT_FIELDS)
        content = _without_bcc(content)
    recipients = list(dict.fromkeys(recipients))
    if not recipients:
        raise click.UsageError("no recipients: name them, or say -t and have them in the message")
    given = options.get("-f") or options.get("-r") or _addresses(header, "from") or [_login()]
    sender = checked_sender(given[-1], "-f")
    for recipient in recipients:
        checked(recipient, "recipient")
    content = _completed(content, header, sender)
    host, port, protocol = ours["host"], int(ours["port"]), ours["protocol"]
    outcomes = submit(host, port, protocol, sender, recipients, content)
    status = report(outcomes, only_failures=True)
    return status if status in (os.EX_OK, os.EX_TEMPFAIL) else os.EX_UNAVAILABLE


def _parsed(arguments: Sequence[str]) -> tuple[dict[str, str], dict[str, list[str]], list[str]]:
    """Our options, sendmail's by letter, and the recipients. Raises UsageError."""
    ours = dict(_OURS)
    rest = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.lstrip("-").partition("=")
        if word == "--":
            rest += [word, *words]
        elif word.startswith("-") and name in ours:
            ours[name] = value if equals else next(words, "")
        else:
            rest.append(word)
    is_port = ours["port"].isdecimal() and len(ours["port"]) < 6 and int(ours["port"]) < 65536
    if not is_port or ours["protocol"] not in ("auto", "lmtp", "smtp"):
        raise click.UsageError(
            "-port takes a number up to 65535, -protocol one of auto, lmtp, smtp"
        )
    try:
        pairs, recipients = getopt(rest, _OPTIONS)
    except GetoptError as error:
        raise click.UsageError(f"sendmail: {error}") from None
    options: dict[str, list[str]] = {}
    for name, value in pairs:
        options.setdefault(name, []).append(value)
    if any(mode != "m" for mode in options.get("-b", [])):
        raise click.UsageError("sendmail: of the modes -b only -bm, sending, exists here")
    return ours, options, recipients


def _addresses(header: Message, *names: str) -> list[str]:
    values = [str(value) for name in names for value in header.get_all(name, [])]
    return [address for _, address in getaddresses(values) if address]


def _with_lines(content: bytes) -> bytes:
    """The message with a header whose lines are beyond doubt.

    A CR ends lines where nothing else does. Else one in the header becomes a blank: on the way it
    would be made a line end, and what follows a field that nobody has looked at.
    """
    if b"\n" not in content:
        return content.replace(b"\r", b"\n")
    header, rest = _split(content)
    return _BARE_CR.sub(b" ", header) + rest


def _split(content: bytes) -> tuple[bytes, bytes]:
    end = _HEADER_END.search(content)
    return (content[: end.start()], content[end.start() :]) if end else (content, b"")


def _without_bcc(content: bytes) -> bytes:
    header, rest = _split(content)
    return _BCC.sub(b"", header) + rest


def _completed(content: bytes, header: Message, sender: str) -> bytes:
    """The message with what every message has (RFC 5322 section 3.6) and this one lacks."""
    missing = ""
    if "from" not in header:
        missing += f"From: {sender or 'MAILER-DAEMON@localhost'}\n"
    if "date" not in header:
        missing += f"Date: {formatdate(localtime=True)}\n"
    if "message-id" not in header:
        missing += f"Message-ID: {make_msgid(domain='localhost')}\n"
    is_headless = not header.keys()
    return missing.encode() + (b"\n" if missing and is_headless else b"") + content


def _login() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
