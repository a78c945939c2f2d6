"""The probe of smtpd with addresses that the application takes: each has to be taken there, too.

Where mail comes in from the world one address of each route is offered, and at each other smtpd
that can be reached one of all; it ends before DATA. An operator's tables that refuse an address of
ours, and a Postfix that knows of other routes than we have, show here.
"""

from __future__ import annotations

import smtplib
import ssl
from typing import TYPE_CHECKING, NamedTuple

from lamson.net.endpoint import split_host_port
from lamson.postfix import known, ours, submission
from lamson.postfix.checks import planned
from lamson.postfix.checks.answers import IN_PROGRESS, TIMEOUT, VERIFIED, shown, why
from lamson.postfix.checks.smtpd import behind
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding, Untried

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

WHAT = "whether recipients that we know are taken"
_ENOUGH = 3  # refusals, after which smtpd would begin to slow us down
_UNKNOWN = ("User unknown", "5.1.1", "4.1.1")
_OURS = "Recipient address rejected"
_ALL = ("all", "")
_LOOPBACK = "loopback-only"


class _Answer(NamedTuple):
    address: str
    code: int
    text: str

    @property
    def is_lookup(self) -> bool:
        """smtpd has looked it up, and knows nothing of it."""
        is_asked = any(one in self.text for one in VERIFIED)
        return any(one in self.text for one in _UNKNOWN) and not is_asked

    @property
    def is_verified(self) -> bool:
        """smtpd has asked the next hop for it (ADDRESS_VERIFICATION_README)."""
        return any(one in self.text for one in VERIFIED) and IN_PROGRESS not in self.text


def findings(
    site: Site, smtpd: str, offered: Sequence[str] = (), *, has_failed: bool = False
) -> Iterator[Finding | Untried]:
    """What is refused. ``smtpd`` (``host:port``) is where mail comes in from the world; where
    ``has_failed``, it has been said what is wrong with it. ``offered`` come before those that are
    made up from the routes."""
    addresses = list(dict.fromkeys((*offered, *known.addresses(site))))[: known.MOST]
    if not addresses:
        yield _untried("no address can be made up from the routes")
        return
    if not has_failed:
        yield from _world(site, smtpd, addresses)
    world = submission.listener(*split_host_port(smtpd), site.services)
    for service in site.services.values():
        place = _place(site, service)
        if place is not None and service is not world:
            yield from _beside(site, service, place, addresses[0])


def _world(site: Site, smtpd: str, addresses: Sequence[str]) -> Iterator[Finding | Untried]:
    host, port = split_host_port(smtpd)
    try:
        answers = _offer(host, port, addresses, wrapped=_is_wrapped(site, host, port))
    except (OSError, smtplib.SMTPException) as error:
        yield _untried(f"no smtpd answers on {smtpd}: {why(error)}")
        return
    for one in answers:
        if one.code < 300:
            continue
        said = f"smtpd ({smtpd}) answers {one.code} for {one.address}: {one.text}"
        if one.is_lookup:
            yield Finding(
                "known-recipient-is-unknown",
                said,
                "Postfix does not know of a route of ours, and refuses its mail",
                _told_again(site),
            )
        elif one.is_verified:
            yield Finding(
                "known-recipient-is-refused",
                said,
                "Postfix has asked the next hop about it, and refuses its mail",
                "lamson start; then by hand: look for 'verify' in Postfix's log",
            )
        elif one.code >= 500 and _OURS in one.text and not site.settings.filters:
            yield Finding(
                "known-recipient-is-refused",
                said,
                "mail for a route of ours comes back to who has sent it",
                "by hand: look for the address, or its domain, in the tables that the restrictions"
                " of smtpd name (check_recipient_access and the like)",
            )
        else:
            yield _untried(said)
            return  # what is said to us is said of all


def _beside(
    site: Site, service: Service, place: tuple[str, int], address: str
) -> Iterator[Finding | Untried]:
    """Another service: who may send there is its own affair, and not what is known of ours."""
    wrapped = site.effective(service, "smtpd_tls_wrappermode") == "yes"
    try:
        (one,) = _offer(*place, [address], wrapped=wrapped)
    except (OSError, smtplib.SMTPException) as error:
        yield _untried(f"{service.key} does not answer: {why(error)}")
        return
    if one.code >= 400 and one.is_lookup:
        yield Finding(
            "known-recipient-is-unknown",
            f"smtpd ({service.key}) answers {one.code} for {one.address}: {one.text}",
            "this service does not know of a route of ours, and refuses its mail",
            _told_again(site),
        )


def _told_again(site: Site) -> str:
    if any(planned.findings(site)):
        return site.mend.apply()
    if not ours.has_socketmap(site):
        return site.mend.maps()
    return "lamson restart, where the routes have changed; else by hand: another map comes first"


def _offer(host: str, port: int, addresses: Sequence[str], *, wrapped: bool) -> list[_Answer]:
    """What smtpd says of each, as far as it is patient with us."""
    if wrapped:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing secret is said
        client: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=context)
    else:
        client = smtplib.SMTP(host, port, timeout=TIMEOUT)
    found: list[_Answer] = []
    with client:
        client.ehlo("lamson-check.invalid")
        code, text = client.mail("")
        if code >= 300:
            return [_Answer(addresses[0], code, shown(text))]
        for address in addresses:
            code, text = client.rcpt(address)
            found.append(_Answer(address, code, shown(text)))
            if sum(one.code >= 300 for one in found) >= _ENOUGH:
                break
    return found


def _place(site: Site, service: Service) -> tuple[str, int] | None:
    """Where it can be reached from here; None for what listens on no port, or is no smtpd."""
    port = submission.port_of(service)
    if service.program not in submission.TAKING or service.kind != "inet" or port is None:
        return None
    interfaces = words(site.get("inet_interfaces"))
    usual = next((one for one in interfaces if one not in (*_ALL, _LOOPBACK)), "")
    is_everywhere = bool({*_ALL, _LOOPBACK} & {*interfaces}) or not usual
    return service.host or ("127.0.0.1" if is_everywhere else usual.strip("[]")), port


def _is_wrapped(site: Site, host: str, port: int) -> bool:
    return site.effective(behind(site, host, port), "smtpd_tls_wrappermode") == "yes"


def _untried(why: str) -> Untried:
    return Untried("untried-known-recipient", WHAT, why)
