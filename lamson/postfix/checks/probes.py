"""The probes: whether each leg between Postfix and us carries, tried for real.

For `lamson postfix check`. No probe sends a message, but the one that is to be delivered: each ends
before DATA. What does not answer
becomes a finding, never an exception; what cannot be tried from here is said as well.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import IO, TYPE_CHECKING

from lamson.net.endpoint import from_here
from lamson.postfix import ours, reachability, recipients
from lamson.postfix.checks import arrival, delivered, handing_in, known, stranger
from lamson.postfix.checks.answers import TIMEOUT, why
from lamson.postfix.configuration import bare, option, words
from lamson.postfix.finding import Finding
from lamson.postfix.wanted import ACTION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.postfix.finding import Untried
    from lamson.postfix.site import Site

# What is said of a stranger, after which a known recipient would tell nothing new.
_TELLING = (
    "smtpd-does-not-answer",
    "smtpd-takes-no-sender",
    "our-domain-is-not-taken",
    "unknown-recipient-is-deferred",
)
# SMFIC_OPTNEG with version 6, all actions and all steps; SMFIC_QUIT (Sendmail's mfdef.h).
_OPTION_NEGOTIATION = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
_QUIT = struct.pack("!Ic", 1, b"Q")
# Where Postfix may be told to ask another server.
_ASKED = ("relay_recipient_maps", "transport_maps", "relay_domains", "smtpd_milters")


def findings(
    site: Site, smtpd: str | None = None, *, patience: float | None = None
) -> Iterator[Finding | Untried]:
    """What does not carry. ``smtpd`` is where Postfix takes mail from the world, if not where the
    settings say. With ``patience`` (seconds) a probe is delivered, and waited for."""
    silent = list(_lmtp(site))
    yield from silent
    if site.settings.socketmap.listen:
        yield from _socketmap(site)
        yield from _lookups(site)
    if site.settings.has_milter:
        yield from _milter(site)
    yield from _others(site)
    world = smtpd or site.settings.postfix.smtpd
    met = list(stranger.findings(site, world))
    yield from met
    has_failed = any(one.code in _TELLING for one in met)
    yield from known.findings(site, world, has_failed=has_failed)
    own = site.settings.lmtp.endpoint(bracketed=True)
    yield from arrival.findings(site, silent=own if silent else None)
    yield from handing_in.findings(site)
    if patience is not None:
        yield from delivered.findings(site, world, patience)


def _lmtp(site: Site) -> Iterator[Finding]:
    lmtp = site.settings.lmtp
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
            f"no LMTP server answers on {lmtp.listen}: {why(error)}",
            "mail for us stays in Postfix's queue",
            "lamson start",
        )


def _socketmap(site: Site) -> Iterator[Finding]:
    own = site.settings.socketmap
    domain = min(site.domains.listed, default="")
    request = f"domain {domain}".encode()
    try:
        with _connected(own.host_port, own.unix_path) as sock:
            sock.sendall(b"%d:%s," % (len(request), request))
            answer = sock.recv(4096)
        if not answer.endswith(b":OK ours," if domain else b","):
            raise OSError(f"it says {answer[:80]!r} of {domain or 'no domain'}")
    except OSError as error:
        yield Finding(
            "socketmap-does-not-answer",
            f"no socketmap answers on {own.listen}: {why(error)}",
            "smtpd answers 451 to everybody who writes to us",
            "lamson start",
        )


def _lookups(site: Site) -> Iterator[Finding]:
    """Where Postfix is told to ask us, if that is not where we listen."""
    asked, listening = site.settings.lookup("recipient"), site.settings.socketmap.listen
    if site.settings.postfix.lookups is None:
        return
    if problem := reachability.why(asked, site.get("queue_directory")):
        yield Finding(
            "lookups-do-not-answer",
            f"postfix.lookups is {site.settings.postfix.lookups}, where nothing answers"
            f" ({problem}), while the socketmap listens on {listening}",
            "smtpd answers 451 to everybody who writes to us",
            "correct postfix.lookups in config/settings.py, then lamson postfix apply",
        )


def _milter(site: Site) -> Iterator[Finding]:
    """Negotiates as smtpd does, and says goodbye."""
    milter = site.settings.milter
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
            f"no milter answers on {milter.listen}: {why(error)}",
            "smtpd answers 451 to everybody, or lets mail pass unfiltered: as"
            " milter_default_action says",
            "lamson start",
        )


def _others(site: Site) -> Iterator[Finding]:
    """Other servers that Postfix asks, and that defer all mail by being silent."""
    own = set()
    is_our_milter = ours.is_milter(site)
    if site.settings.socketmap.listen:
        own |= {site.settings.lookup(name) for name in ("recipient", "transport", "domain")}
    for name in _ASKED:
        for item in words(site.get(name)):
            asked = (ours.piped(item) or [bare(item)])[-1].removeprefix("proxy:")
            is_own = asked in own or (site.settings.has_milter and is_our_milter(asked))
            is_own = is_own or not recipients.is_asked_for_us(site, item)
            problem = "" if is_own else reachability.why(asked, site.get("queue_directory"))
            if problem:
                action = option(item, ACTION) or site.get("milter_default_action")
                is_passed_over = name == "smtpd_milters" and action == "accept"
                yield Finding(
                    "another-server-does-not-answer",
                    f"{asked} in {name} does not answer: {problem}",
                    "mail passes without it"
                    if is_passed_over
                    else "Postfix defers all mail that it has to ask it about",
                    f"start it; where nobody needs it any more, take it out of {name} by hand",
                )


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise OSError("it hangs up")
    return data


@contextlib.contextmanager
def _connected(host_port: tuple[str, int] | None, path: Path | None) -> Iterator[socket.socket]:
    if host_port is not None:
        host, port = host_port
        sock = socket.create_connection((from_here(host), port), TIMEOUT)
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(TIMEOUT)
    with sock:
        if host_port is None:
            sock.connect(str(path))
        yield sock
