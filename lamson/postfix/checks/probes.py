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

from lamson.errors import LamsonError
from lamson.net import tls
from lamson.net.endpoint import split_host_port
from lamson.postfix import plan, reachability, submission, wanted
from lamson.postfix.checks import relaying
from lamson.postfix.finding import NOBODY, Finding
from lamson.postfix.postconf import words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.postfix.postconf import Postconf
    from lamson.routing.domains import Domains
    from lamson.settings.model import Settings

TIMEOUT = 10.0  # seconds for each answer
# SMFIC_OPTNEG with version 6, all actions and all steps; SMFIC_QUIT (Sendmail's mfdef.h).
_OPTION_NEGOTIATION = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
_QUIT = struct.pack("!Ic", 1, b"Q")
_ELSEWHERE = "lamson-check@relay-probe.invalid"
# What smtpd says where it fails itself, and not where it puts a stranger off on purpose.
_FAILED = ("4.3.0 ", "4.3.5 ", "User unknown", "Service unavailable")
# Where Postfix may be told to ask another server.
_ASKED = ("relay_recipient_maps", "transport_maps", "relay_domains", "smtpd_milters")


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
        self._reload = postconf.reload if postconf else "postfix reload"
        self.remarks: list[str] = []
        """What could not be tried from here, once the findings have been read."""

    def findings(self) -> Iterator[Finding]:
        """What does not carry."""
        yield from self._lmtp()
        if self._settings.socketmap.listen:
            yield from self._socketmap()
        if self._settings.has_milter:
            yield from self._milter()
        if self._postconf is not None:
            yield from self._others(self._postconf)
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

    def _others(self, postconf: Postconf) -> Iterator[Finding]:
        """Other servers that Postfix asks, and that defer all mail by being silent."""
        own = set()
        is_ours = wanted.is_our_milter(self._settings.milter, postconf)
        if self._settings.socketmap.listen:
            own |= {self._settings.lookup(name) for name in ("recipient", "transport", "domain")}
        for name in _ASKED:
            listed = words(postconf.value(name) or "")
            for item in listed:
                asked = plan.bare(item).removeprefix("proxy:")
                is_own = asked in own or (self._settings.has_milter and is_ours(asked))
                problem = "" if is_own else reachability.why(postconf, asked)
                if problem:
                    left = ", ".join(one for one in listed if one != item)
                    yield Finding(
                        "another-server-does-not-answer",
                        f"{asked} in {name} does not answer: {problem}",
                        "Postfix defers all mail that it has to ask it about",
                        f"start it, or postconf {postconf.option}-e '{name} = {left}'"
                        f" && {postconf.reload}",
                    )

    def _world(self) -> Iterator[Finding]:
        """What a stranger meets on the listener where Postfix takes mail from the world."""
        host, port = split_host_port(self._smtpd)
        domain = min(self._domains.listed, default="")
        try:
            with smtplib.SMTP(host, port, timeout=TIMEOUT) as client:
                client.ehlo("lamson-check.invalid")
                # The null sender: nobody looks whether its domain is there.
                answer = client.mail("")
                source = client.sock.getsockname()[0] if client.sock else ""
                foreign = client.rcpt(_ELSEWHERE)
                unknown = client.rcpt(f"{NOBODY}@{domain}") if domain else (550, b"")
        except (OSError, smtplib.SMTPException) as error:
            yield Finding(
                "smtpd-does-not-answer",
                f"no smtpd answers on {self._smtpd}: {_text(error)}",
                "no mail comes in",
                "postfix start, or say where it listens: lamson postfix check -smtpd HOST:PORT",
            )
            return
        if answer[0] >= 300:
            yield Finding(
                "smtpd-takes-no-sender",
                f"smtpd answers {answer[0]} to MAIL FROM:<>: {_shown(answer[1])}",
                "no mail comes in, or bounces are refused",
                "look for NOQUEUE or milter-reject in Postfix's log",
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
        yield from self._unknown(unknown, f"{NOBODY}@{domain}")

    def _is_trusted(self, source: str, host: str, port: int) -> bool:
        if self._postconf is None:
            return False
        service = submission.listener(host, port, self._postconf.services())
        return relaying.is_trusted(source, self._postconf, service)

    def _unknown(self, answer: tuple[int, bytes], address: str) -> Iterator[Finding]:
        code, text = answer[0], _shown(answer[1])
        if code < 300:
            yield Finding(
                "unknown-recipient-is-taken",
                f"smtpd takes mail for {address}",
                "we refuse it later, and Postfix sends a bounce to a sender who may be forged",
                f"lamson postfix apply && {self._reload}",
            )
        elif "Relay access denied" in text:
            yield Finding(
                "our-domain-is-not-taken",
                f"smtpd answers {code} for {address}: {text}",
                "Postfix does not know that the domain is ours, and takes no mail for it",
                f"lamson postfix apply && {self._reload}",
            )
        elif code < 500 and any(one in text for one in _FAILED):
            yield Finding(
                "unknown-recipient-is-deferred",
                f"smtpd answers {code} for {address}: {text}",
                "smtpd cannot look recipients up, so that no mail for us comes in",
                "lamson start; then look for 'lookup' in Postfix's log",
            )
        elif "5.1.1" not in text:
            self.remarks.append(
                f"whether unknown recipients are refused could not be tried from here: smtpd"
                f" answers {code} before it looks them up: {text}"
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
                code, text = client.mail("")
                if code < 300:
                    code, text = client.rcpt(_ELSEWHERE)
                    code = 250 if code < 500 else code  # it may look for the domain
                if code >= 300:
                    raise OSError(f"it refuses our mail: {code} {_shown(text)}")
                yield from self._sender(client)
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

    def _sender(self, client: smtplib.SMTP) -> Iterator[Finding]:
        """Whether our user may send under our addresses."""
        domain = min(self._domains.listed, default="")
        if not domain:
            return
        client.rset()
        code, text = client.mail(f"lamson-check@{domain}")
        if code < 300:
            code, text = client.rcpt(_ELSEWHERE)
        if code < 500 or b"not owned" not in text:
            return
        own = self._settings.submission
        maps = [f"inline:{{@{one}={own.user or 'lamson'}}}" for one in sorted(self._domains.listed)]
        login = "smtpd_sender_login_maps=" + ",".join(maps)
        fix = f"let {own.user} send as @{domain} on {own.host}: {login}"
        if self._postconf is not None and (
            service := submission.existing(self._settings, self._postconf.services())
        ):
            fix = f"postconf {self._postconf.option}-P '{service.key}/{login}' && {self._reload}"
        yield Finding(
            "submission-sender",
            f"{own.host}:{own.port} does not let {own.user} send as @{domain}: {_shown(text)}",
            "replies and forwards that have a sender end in run/undeliverable",
            fix,
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


def _shown(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())


def _text(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        return f"{error.smtp_code} {' '.join(text.split())}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
