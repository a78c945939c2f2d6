"""The probes: whether each leg between Postfix and us carries, tried for real.

For `lamson postfix check`. No probe sends a message: each ends before DATA. What does not answer
becomes a finding, never an exception.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import struct
from typing import IO, TYPE_CHECKING

from lamson import tls
from lamson.errors import LamsonError
from lamson.postfix import strangers, submission
from lamson.postfix.findings import Finding
from lamson.settings import split_host_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.domains import Domains
    from lamson.postfix.postconf import Postconf
    from lamson.settings import Settings

TIMEOUT = 10.0  # seconds for each answer
# SMFIC_OPTNEG with version 6, all actions and all steps; SMFIC_QUIT (Sendmail's mfdef.h).
_OPTION_NEGOTIATION = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
_QUIT = struct.pack("!Ic", 1, b"Q")
_NOBODY = "lamson-check-nobody-has-this-address"
_ELSEWHERE = "lamson-check@relay-probe.invalid"


class Probes:
    """The legs of one project."""

    def __init__(
        self,
        settings: Settings,
        domains: Domains,
        smtpd: str | None = None,
        postconf: Postconf | None = None,
    ) -> None:
        self._settings = settings
        self._domains = domains
        self._smtpd = smtpd or settings.postfix.smtpd
        self._postconf = postconf
        self.remarks: list[str] = []
        """What could not be tried from here, once the findings have been read."""

    def findings(self) -> Iterator[Finding]:
        """What does not carry."""
        yield from self._lmtp()
        if self._settings.socketmap.listen:
            yield from self._socketmap()
        if self._settings.has_milter:
            yield from self._milter()
        yield from self._world()
        yield from self._submission()

    def _lmtp(self) -> Iterator[Finding]:
        lmtp = self._settings.lmtp
        try:
            with _connected(lmtp.host_port, lmtp.unix_path) as sock:
                lines = sock.makefile("rb")
                greeting = lines.readline()
                sock.sendall(b"LHLO lamson-check.invalid\r\nQUIT\r\n")
                answer = lines.read()
            if not greeting.startswith(b"220 ") or b"\r\n250 " not in b"\r\n" + answer:
                said = (greeting + answer).decode("ascii", "replace").split("\r\n")[0]
                raise OSError(f"it says {said!r}")
        except OSError as error:
            yield Finding(
                "lmtp-does-not-answer",
                f"no LMTP server answers on {lmtp.listen}: {_text(error)}",
                "mail for us stays in Postfix's queue",
                "lamson start",
            )

    def _socketmap(self) -> Iterator[Finding]:
        own = self._settings.socketmap
        domain = min(self._domains.listed, default="")
        request = f"domain {domain}".encode()
        try:
            with _connected(own.host_port, own.unix_path) as sock:
                sock.sendall(b"%d:%s," % (len(request), request))
                answer = sock.recv(4096)
            if domain and not answer.endswith(b":OK ours,"):
                raise OSError(f"it says {answer[:80]!r} of {domain}")
        except OSError as error:
            yield Finding(
                "socketmap-does-not-answer",
                f"no socketmap answers on {own.listen}: {_text(error)}",
                "smtpd answers 451 to everybody who writes to us",
                "lamson start",
            )

    def _milter(self) -> Iterator[Finding]:
        """Negotiates as smtpd does, and says goodbye."""
        milter = self._settings.milter
        try:
            with _connected(milter.host_port, milter.unix_path) as sock:
                stream = sock.makefile("rb")
                sock.sendall(_OPTION_NEGOTIATION)
                length, letter = struct.unpack("!Ic", _exactly(stream, 5))
                if letter != b"O" or not 13 <= length <= 4096:
                    raise OSError(f"it says {letter!r} where a milter negotiates")
                version = struct.unpack("!I", _exactly(stream, 4))[0]
                if version < 2:
                    raise OSError(f"it speaks version {version} of the protocol")
                _exactly(stream, length - 5)
                sock.sendall(_QUIT)
        except OSError as error:
            yield Finding(
                "milter-does-not-answer",
                f"no milter answers on {milter.listen}: {_text(error)}",
                "smtpd answers 451 to everybody, or lets mail pass unfiltered: as"
                " milter_default_action says",
                "lamson start",
            )

    def _world(self) -> Iterator[Finding]:
        """What a stranger meets on the listener where Postfix takes mail from the world."""
        host, port = split_host_port(self._smtpd)
        domain = min(self._domains.listed, default="")
        try:
            with smtplib.SMTP(host, port, timeout=TIMEOUT) as client:
                client.ehlo("lamson-check.invalid")
                # The null sender: nobody looks whether its domain is there.
                client.mail("")
                source = client.sock.getsockname()[0] if client.sock else ""
                foreign = client.rcpt(_ELSEWHERE)
                unknown = client.rcpt(f"{_NOBODY}@{domain}") if domain else (550, b"")
        except (OSError, smtplib.SMTPException) as error:
            yield Finding(
                "smtpd-does-not-answer",
                f"no smtpd answers on {self._smtpd}: {_text(error)}",
                "no mail comes in",
                "postfix start, or say where it listens: lamson postfix check -smtpd HOST:PORT",
            )
            return
        if foreign[0] < 300 and self._is_trusted(source, host, port):
            self.remarks.append(
                f"whether strangers may relay could not be tried from here: {source} is in"
                " mynetworks; the configuration alone was looked at"
            )
        elif foreign[0] < 300:
            yield Finding(
                "open-relay",
                f"{self._smtpd} takes mail from {host}'s clients for anywhere",
                "if a stranger may connect from where this check ran, it is an open relay",
                "check from a host outside mynetworks; postconf -e 'smtpd_relay_restrictions ="
                " permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination'",
            )
        yield from self._unknown(unknown, f"{_NOBODY}@{domain}")

    def _is_trusted(self, source: str, host: str, port: int) -> bool:
        if self._postconf is None:
            return False
        service = submission.listener(host, port, self._postconf.services())
        return strangers.is_trusted(source, self._postconf, service)

    def _unknown(self, answer: tuple[int, bytes], address: str) -> Iterator[Finding]:
        code, text = answer[0], answer[1].decode("utf-8", "replace")
        if code < 300:
            yield Finding(
                "unknown-recipient-is-taken",
                f"smtpd takes mail for {address}",
                "we refuse it later, and Postfix sends a bounce to a sender who may be forged",
                "lamson postfix apply && postfix reload",
            )
        elif code < 500:
            yield Finding(
                "unknown-recipient-is-deferred",
                f"smtpd answers {code} for {address}: {text}",
                "smtpd cannot look recipients up, so that no mail for us comes in",
                "lamson start; then look for 'lookup' in Postfix's log",
            )

    def _submission(self) -> Iterator[Finding]:
        own = self._settings.submission
        where = f"{own.host}:{own.port}"
        try:
            context = None
            if own.security != "none":
                context = tls.client_context(own.ca_file, own.tls_name)
            if own.security == "tls":
                client: smtplib.SMTP = smtplib.SMTP_SSL(
                    own.host, own.port, timeout=TIMEOUT, context=context
                )
            else:
                client = smtplib.SMTP(own.host, own.port, timeout=TIMEOUT)
            with client:
                client.ehlo("lamson-check.invalid")
                if own.security == "starttls":
                    client.starttls(context=context)
                    client.ehlo("lamson-check.invalid")
                if own.user is not None:
                    client.login(own.user, own.password() or "")
                client.mail("")
                code, text = client.rcpt(_ELSEWHERE)
                if code >= 500:
                    raise OSError(f"it refuses our mail: {code} {text.decode('utf-8', 'replace')}")
        except (OSError, smtplib.SMTPException, LamsonError) as error:
            is_login = isinstance(error, smtplib.SMTPAuthenticationError)
            code_ = "submission-login" if is_login else "submission"
            if isinstance(error, ssl.SSLError):
                code_ = "submission-tls"
            yield Finding(
                code_,
                f"submission to {where}: {tls.why(error) or _text(error)}",
                "replies and forwards stay in the outbox",
                "lamson postfix apply, or correct submission in config/settings.py",
            )


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise OSError("it hangs up")
    return data


@contextlib.contextmanager
def _connected(host_port: tuple[str, int] | None, path: Path | None) -> Iterator[socket.socket]:
    if host_port is not None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host_port[0], host_port[0])
        sock = socket.create_connection((host, host_port[1]), TIMEOUT)
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(TIMEOUT)
    with sock:
        if host_port is None:
            sock.connect(str(path))
        yield sock


def _text(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        return f"{error.smtp_code} {' '.join(text.split())}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
