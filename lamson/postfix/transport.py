"""The way from Postfix to our LMTP server: a service of master.cf, and the limits of its name.

It is one of our own, so that what we need of it is nobody else's: `lamson`, or what the setting
``postfix.transport`` or the name before ``postfix.next_hop`` says. Where Postfix brings our mail by
another one, such as the site's `lmtp`, and that does all that we need, it is well as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.postfix import ours
from lamson.postfix.configuration import bare, words
from lamson.postfix.submission import WantedService
from lamson.postfix.want import Want, number, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_USUAL_CONCURRENCY = 20  # Postfix's own default
_MOST_RECIPIENTS = 50  # Postfix's own default
_USUAL_PROCESSES = 100  # Postfix's own default
_DEFAULTS = {one: f"default_{one}" for one in (
    "destination_concurrency_limit", "destination_recipient_limit"
)}  # fmt: skip
_INLINE = re.compile(r"([^\s{},=]+)\s*=\s*([^\s{},]+)")
LEVEL = "lmtp_tls_security_level"
_NO_TLS = ("", "none", "may")  # with which mail goes out also where TLS is not offered
SHARED = ("lmtp", "smtp", "relay")
"""Services that every Postfix has, for whatever mail goes that way."""


@dataclass(frozen=True, slots=True)
class Transport:
    """The service ``name``, by which mail goes to ``place`` (``inet:…`` or ``unix:…``)."""

    name: str
    place: str

    @property
    def key(self) -> str:
        return f"{self.name}/unix"

    @property
    def next_hop(self) -> str:
        """As a transport map has it."""
        return f"{self.name}:{self.place}"

    @property
    def is_shared(self) -> bool:
        return self.name in SHARED

    def service(self, site: Site) -> Service | None:
        return site.services.get(self.key)


def of(site: Site) -> Transport:
    """The one that our mail goes by, where that will do; else the one that it should go by."""
    own = _named(site.settings.next_hop)
    there = [bare(one) for one in words(site.get("transport_maps"))]
    for domain in sorted(site.domains.listed)[:1]:
        found = _named(site.lookup(there, domain) or site.get("relay_transport"))
        if found.name != own.name and is_one_place(found.place, own.place) and _suits(site, found):
            return Transport(found.name, own.place)
    return own


def is_one_place(one: str, other: str) -> bool:
    """LMTP looks up no MX, so that brackets mean nothing to it, and ``inet:`` is the usual."""
    plain = [text.removeprefix("inet:").replace("[", "").replace("]", "") for text in (one, other)]
    return ours.by_number(plain[0].lower()) == ours.by_number(plain[1].lower())


def limits(site: Site, transport: Transport) -> list[Want]:
    """How many connections and recipients, so that Postfix never asks for more than we give."""
    lmtp = site.settings.lmtp
    most = lmtp.max_connections
    busy = site.settings.workers * site.settings.threads
    names = {one: f"{transport.name}_{one}" for one in _DEFAULTS}
    return [
        Want(
            names["destination_concurrency_limit"],
            str(_concurrency(site)),
            f"with fewer than workers x threads, {busy}, some of our threads are idle; connections"
            f" beyond lmtp.max_connections, {most}, are told 421, and Postfix takes us for dead",
            otherwise=_DEFAULTS["destination_concurrency_limit"],
            will_do=lambda value: min(busy, most) <= number(value) <= most,
        ),
        Want(
            names["destination_recipient_limit"],
            str(min(_MOST_RECIPIENTS, lmtp.max_recipients)),
            f"recipients beyond lmtp.max_recipients, {lmtp.max_recipients}, are deferred with each"
            " message",
            otherwise=_DEFAULTS["destination_recipient_limit"],
            will_do=lambda value: 0 < number(value) <= lmtp.max_recipients,
        ),
    ]


def _concurrency(site: Site) -> int:
    busy = site.settings.workers * site.settings.threads
    return min(max(_USUAL_CONCURRENCY, busy), site.settings.lmtp.max_connections)


def wanted(site: Site) -> list[WantedService]:
    """The service that there has to be."""
    transport = of(site)
    options = _options(site)
    level = "encrypt" if site.settings.lmtp.tls_certificate else "none"
    is_tcp = transport.place.startswith("inet:")
    if site.settings.postfix.next_hop and level == "none" and is_tcp:
        level = "may"  # it may have something between us that speaks TLS
    written = {one.name: one.value for one in options}
    # Lines as they are: to break a long one changes what is signed (DKIM).
    written |= {"lmtp_line_length_limit": "0", "lmtp_tls_security_level": level}
    given = " ".join(f"-o {name}={value}" for name, value in written.items())
    concurrency = _concurrency(site)
    processes = concurrency if concurrency > _USUAL_PROCESSES else "-"
    doubt, taken = "", ""
    if others := _of_another(site, transport):
        taken = (
            f"{transport.name} brings the mail of another application, {others}; give this one a"
            " name of its own in config/settings.py, such as postfix=Postfix(transport="
            f"{_name(site)!r})"
        )
    if transport.is_shared:
        doubt = (
            f"{transport.name} is for the mail of others, too; name a transport of ours in"
            f" config/settings.py, such as postfix.next_hop = 'lamson:{transport.place}', and let"
            " lamson postfix apply make it"
        )
    return [
        WantedService(
            transport.key,
            f"{transport.name} unix - - n - {processes} lmtp {given}",
            "mail for our domains goes to Lamson's LMTP server by a service of its own",
            "",
            ("lmtp",),
            tuple(options),
            doubt,
            taken,
        )
    ]


def _of_another(site: Site, transport: Transport) -> str:
    """A domain that is not ours, which goes by the service to elsewhere; nothing where none does,
    or where our mail goes by it already."""
    if transport.is_shared or transport.service(site) is None:
        return ""
    there = [bare(one) for one in words(site.get("transport_maps"))]
    for domain in sorted(site.domains.listed)[:1]:
        if _named(site.lookup(there, domain) or "").name == transport.name:
            return ""
    for item in there:
        for domain, hop in _INLINE.findall(item) if item.startswith("inline:") else ():
            found = _named(hop)
            if (
                found.name == transport.name
                and domain.lower() not in site.domains.listed
                and not is_one_place(found.place, transport.place)
            ):
                return str(domain)
    return ""


def _name(site: Site) -> str:
    """A name for the service of this application: after the first of its domains."""
    domain = min(site.domains.listed, default="own")
    return f"lamson-{re.sub('[^A-Za-z0-9]+', '-', domain).strip('-')}"


def _options(site: Site) -> list[Want]:
    """What the service has to do, by its own options or since main.cf says so for all."""
    wants = [
        Want("lmtp_send_xforward_command", "yes", "our log and the seen check use the queue id")
    ]
    for name, needed, what in (
        ("lmtp_data_done_timeout", site.settings.handler_deadline, "handler_deadline"),
        ("lmtp_rcpt_timeout", 30.0, "a busy moment"),
    ):
        wants.append(
            Want(
                name,
                f"{max(600, int(needed * 2))}s",
                f"{what} may last {needed:g} s: Postfix would give up, and send the mail again",
                will_do=lambda value, needed=needed: seconds(value) > needed,  # type: ignore[misc]
            )
        )
    return wants


def _suits(site: Site, transport: Transport) -> bool:
    """It is an LMTP client, with all that we need of it."""
    service = transport.service(site)
    if service is None or service.program != "lmtp":
        return False
    if lacking(site, service, _options(site)):
        return False
    if tls_wanted(site, service):
        return False
    return all(_is_met(site, one) for one in limits(site, transport))


def tls_wanted(site: Site, service: Service) -> str:
    """The level at which the service and our server would agree; nothing where they do."""
    level = site.effective(service, LEVEL).lower()
    if site.effective(service, "lmtp_tls_policy_maps"):
        return ""  # it may be another one for us
    for old, meaning in (("lmtp_enforce_tls", "encrypt"), ("lmtp_use_tls", "may")):
        if not level and site.effective(service, old) == "yes":
            level = meaning
    offered = site.settings.lmtp.tls_certificate is not None
    if offered:
        return "encrypt" if level in ("", "none") else ""
    return "may" if level not in _NO_TLS and not site.settings.postfix.next_hop else ""


def _is_met(site: Site, limit: Want) -> bool:
    return limit.is_met_by(site.value(limit.name) or site.get(limit.otherwise or ""))


def _named(hop: str) -> Transport:
    name, _, place = hop.partition(":")
    return Transport(name, place)


def lacking(site: Site, service: Service, options: Sequence[Want]) -> list[Want]:
    """The options that the service is without."""
    return [
        one
        for one in options
        if site.value(one.name) is not None and not one.is_met_by(site.effective(service, one.name))
    ]
