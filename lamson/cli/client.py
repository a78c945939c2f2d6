"""Hands one message to a server, by LMTP or SMTP, and gives its answer for each recipient.

For `lamson send` and `lamson sendmail`. smtplib speaks the protocol; what it lacks is LMTP's reply
per recipient after the data (RFC 2033 section 4.2). A server that is not there, or goes away,
raises UnavailableError.
"""

from __future__ import annotations

import contextlib
import os
import smtplib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.errors import LamsonError, UnavailableError
from lamson.message.compose import normalise_newlines
from lamson.smtp.dots import stuffed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONNECT_TIMEOUT = 30.0  # seconds
REPLY_TIMEOUT = 600.0  # seconds; a handler may take its time


@dataclass(frozen=True, slots=True)
class Outcome:
    """The server's last word on one recipient."""

    recipient: str
    code: int
    text: str

    @property
    def is_refused(self) -> bool:
        return self.code >= 500

    @property
    def is_deferred(self) -> bool:
        return self.code < 500 and not 200 <= self.code < 300

    def __str__(self) -> str:
        return f"{self.recipient}: {self.code} {self.text}"


def submit(
    host: str, port: int, protocol: str, sender: str, recipients: Sequence[str], content: bytes
) -> Iterator[Outcome]:
    """Send ``content`` and give one outcome per recipient, as the answers come.

    ``host`` is a name, an address, or the path of a unix socket (``unix:…`` or from ``/`` on);
    ``protocol`` is ``lmtp``, ``smtp`` or ``auto``. Raises UnavailableError, and LamsonError where
    ``host`` is nothing.
    """
    if not host:
        raise LamsonError("-host: expected a name, an address or unix:path", exit_code=os.EX_USAGE)
    server = host if host.startswith(("/", "unix:")) else f"{host}:{port}"
    if host.startswith("unix:"):
        host = os.path.abspath(host.removeprefix("unix:"))
    client = smtplib.LMTP(local_hostname=socket.gethostname(), timeout=CONNECT_TIMEOUT)
    try:
        try:
            code, text = client.connect(host, port)
            if code != 220:
                raise _no_mail_server(server, code, text)
            assert client.sock is not None
            client.sock.settimeout(REPLY_TIMEOUT)
            is_lmtp = _greet(client, protocol, server)
            yield from _transact(client, is_lmtp, sender, recipients, content)
            with contextlib.suppress(smtplib.SMTPServerDisconnected):
                client.docmd("QUIT")
        except (smtplib.SMTPException, OSError, UnicodeError) as error:  # such as mail..example
            raise UnavailableError(f"{server}: {_reason(error)}") from None
    finally:
        client.close()


def _greet(client: smtplib.LMTP, protocol: str, server: str) -> bool:
    """Say LHLO or EHLO; True where the server speaks LMTP."""
    for verb in {"lmtp": ("lhlo",), "smtp": ("ehlo",), "auto": ("lhlo", "ehlo")}[protocol]:
        client.ehlo_msg = verb
        code, text = client.ehlo()
        if code == 250:
            return verb == "lhlo"
    if protocol != "lmtp":
        code, text = client.helo()
        if code == 250:
            return False
    raise _no_mail_server(server, code, text)


def _no_mail_server(server: str, code: int, text: bytes) -> UnavailableError:
    said = f"{code} {_text(text)}" if code >= 0 else "what it says is no reply of SMTP or LMTP"
    return UnavailableError(f"{server} does not take mail: {said}")


def _transact(
    client: smtplib.LMTP, is_lmtp: bool, sender: str, recipients: Sequence[str], content: bytes
) -> Iterator[Outcome]:
    data = stuffed(normalise_newlines(content))
    parameters = ""
    if client.has_extn("size"):
        parameters += f" SIZE={len(data)}"
    if client.has_extn("8bitmime") and not content.isascii():
        parameters += " BODY=8BITMIME"
    if not all(address.isascii() for address in (sender, *recipients)):
        if not client.has_extn("smtputf8"):
            # RFC 6531 section 3.5: the status of a message that needs what the server has not.
            yield from _all(recipients, 550, b"5.6.7 The server does not take such addresses")
            return
        parameters += " SMTPUTF8"
        client.command_encoding = "utf-8"
    code, text = client.docmd("MAIL", f"FROM:<{sender}>{parameters}")
    if code != 250:
        yield from _all(recipients, code, text)
        return
    accepted = []
    for recipient in recipients:
        code, text = client.docmd("RCPT", f"TO:<{recipient}>")
        if code in (250, 251):
            accepted.append(recipient)
        else:
            yield Outcome(recipient, code, _text(text))
    if not accepted:
        return
    code, text = client.docmd("DATA")
    if code != 354:
        yield from _all(accepted, code, text)
        return
    client.send(data)
    if is_lmtp:
        for recipient in accepted:
            yield Outcome(recipient, *_reply(client))
    else:
        code, text = client.getreply()
        yield from _all(accepted, code, text)


def _reply(client: smtplib.LMTP) -> tuple[int, str]:
    code, text = client.getreply()
    return code, _text(text)


def _all(recipients: Sequence[str], code: int, text: bytes) -> Iterator[Outcome]:
    return (Outcome(recipient, code, _text(text)) for recipient in recipients)


def _text(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(_bytes(error.smtp_error))}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, UnicodeError):
        return "no server can be called so"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return f"{error.strerror}; is it started? (lamson start, or lamson log)"
    if isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException):
        return error.strerror or str(error)
    return "the connection was closed"


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
