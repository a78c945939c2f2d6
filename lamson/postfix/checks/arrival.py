"""The probe of the next hop: Postfix's own, as its tables say it, and not where we listen.

It is connected to as Postfix's LMTP client does, and a known address is offered; it ends before
DATA. What Postfix is told wrong of the way to us shows here: mail would wait in its queue.
"""

from __future__ import annotations

import re
import smtplib
from typing import TYPE_CHECKING

from lamson.net.endpoint import from_here
from lamson.postfix import known, transport
from lamson.postfix.checks import certificates, rewriting
from lamson.postfix.checks.answers import TIMEOUT, shown, why
from lamson.postfix.finding import Finding, Untried

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from lamson.postfix.site import Site
    from lamson.postfix.transport import Transport

_INET = re.compile(r"(?:inet:)?(?:\[([^]]+)\]|([^:\s,]+))(?::(\d+))?")
_USUAL_PORT = 24  # lmtp_tcp_port
_WAITS = "mail for us stays in Postfix's queue"


def findings(site: Site, silent: str | None = None) -> Iterator[Finding | Untried]:
    """What does not answer there, or refuses what it should know. ``silent`` is a place of which
    that has been said."""
    address = next(iter(known.addresses(site)), None)
    if address is None:
        return
    hop = rewriting.next_hop(site, address)
    if hop.name != transport.of(site).name:
        return  # that is for `rewriting`
    if silent is not None and transport.is_one_place(hop.place, silent):
        return
    yield from _tried(site, hop, address)


def _tried(site: Site, hop: Transport, address: str) -> Iterator[Finding | Untried]:
    wanted = certificates.demand(site, hop.service(site), hop.place)
    seen: list[Finding] = []
    try:
        with _connected(hop.place) as client:
            client.ehlo("lamson-check.invalid")
            if client.has_extn("starttls") and wanted.level != "none":
                seen += certificates.findings(site, wanted, _started(client, wanted.context()))
                client.ehlo("lamson-check.invalid")
            code, text = client.mail("")
            if code < 300:
                code, text = client.rcpt(address)
            client.rset()
    except (OSError, UnicodeError, smtplib.SMTPException) as error:
        if (found := certificates.failed(site, wanted, error)) is not None:
            yield found
            return
        yield Finding(
            "next-hop-does-not-answer",
            f"Postfix brings our mail to {hop.next_hop}, where no LMTP server answers:"
            f" {why(error)}",
            _WAITS,
            _fix(site, hop),
        )
        return
    yield from seen
    if wanted.level.startswith("dane"):
        yield Untried(
            "untried-certificate",
            "whether Postfix believes our certificate",
            f"at the level {wanted.level} it asks DNS, which this check does not",
        )
    if code >= 300:
        yield Finding(
            "next-hop-refuses",
            f"{hop.next_hop}, where Postfix brings our mail, answers {code} for {address}:"
            f" {shown(text)}",
            _WAITS if code < 500 else "Postfix sends all mail for us back",
            "lamson restart, where the routes have changed; else correct postfix.next_hop in"
            " config/settings.py, where another server answers",
        )


def _fix(site: Site, hop: Transport) -> str:
    if site.settings.postfix.next_hop is None:
        own = site.settings.next_hop
        if transport.is_one_place(hop.place, own.partition(":")[2]):
            return "lamson start"
        return f"Lamson listens at {own}: have Postfix bring it there, as lamson postfix plan shows"
    return (
        f"lamson start, or correct postfix.next_hop in config/settings.py, which is"
        f" {site.settings.postfix.next_hop} while lmtp.listen is {site.settings.lmtp.listen}; then"
        " lamson postfix apply"
    )


def _started(client: smtplib.LMTP, context: ssl.SSLContext) -> ssl.SSLSocket:
    """TLS, without a server name, as lmtp(8) does it; `starttls` would send the path of a socket
    for one, which may be too long. Raises OSError."""
    code, text = client.docmd("STARTTLS")
    if code != 220:
        raise smtplib.SMTPResponseException(code, text)
    assert client.sock is not None
    client.sock = context.wrap_socket(client.sock)
    client.file = None  # of what was not encrypted
    return client.sock


def _connected(place: str) -> smtplib.LMTP:
    """Connected as lmtp(8) does: ``unix:path`` or ``inet:host:port``; of several, the first."""
    if place.startswith("unix:"):
        return smtplib.LMTP(place.removeprefix("unix:"), timeout=TIMEOUT)
    found = _INET.match(place)
    if found is None:
        raise OSError(f"{place} is no address of a server")
    host = from_here(found[1] or found[2])
    return smtplib.LMTP(host, int(found[3] or _USUAL_PORT), timeout=TIMEOUT)
