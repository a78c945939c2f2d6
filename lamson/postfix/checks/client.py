"""Postfix's LMTP client: what its options do to mail on the way to us, beside the connection.

That it gets to us is for `next_hop`. Options are those of the service, else main.cf's ``lmtp_*``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.net.endpoint import is_loopback
from lamson.postfix import transport
from lamson.postfix.checks import limits
from lamson.postfix.checks.limits import Limit
from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site
    from lamson.postfix.transport import Transport

_GIVES_UP = "Postfix gives up in a busy moment, and mail for us waits"
_LIMITS = tuple(
    Limit(f"lmtp_{name}_timeout", (), least, _GIVES_UP, unit="s")
    for name, least in (
        ("lhlo", 5), ("mail", 5), ("data_init", 5), ("data_xfer", 10), ("rset", 2), ("xforward", 5),
    )
)  # fmt: skip
# What Postfix must not overlook of what we offer, and what comes of it.
_KEYWORDS = {
    "xforward": "our log has no queue ids, and no redelivery is known as such",
    "8bitmime": "mail is made 7 bit on the way to us, which breaks its signatures (DKIM)",
    "smtputf8": "mail with an address beyond ASCII is sent back",
    "starttls": "mail for us goes in clear, or stays in the queue",
}
_RATES = ("destination_rate_delay", "transport_rate_delay")
_FILTERS = ("lmtp_reply_filter", "lmtp_delivery_status_filter", "default_delivery_status_filter")
# What we say where mail is to wait, as lmtp(8) sees it and as it goes into the log.
_SAID = ("451 4.3.0 Not now", "451-4.3.0 Not now", "4.3.0 Not now")
_PROXY = "inet:"


def findings(site: Site) -> Iterator[Finding]:
    """What is wrong with the client that brings our mail."""
    used = transport.of(site)
    service = used.service(site)
    if service is None or service.program != "lmtp":
        return  # that is for the plan
    for limit in _LIMITS:
        if limits.is_set(site, service, limit.name):
            yield from limits.of_services(site, limit, [service])
    yield from _keywords(site, service)
    yield from _lines(site, service)
    yield from _bound(site, service, used)
    yield from _rates(site, used)
    yield from _filters(site, service)


def _keywords(site: Site, service: Service) -> Iterator[Finding]:
    name = "lmtp_discard_lhlo_keywords"
    given = words(site.effective(service, name))
    for word in given:
        why = _KEYWORDS.get(word.lower())
        if why is None or (word.lower() == "starttls" and not site.settings.lmtp.tls_certificate):
            continue
        left = [one for one in given if one != word]
        yield Finding(
            "lmtp-keyword-discarded",
            f"{name} has {word} for {service.key}",
            why,
            site.mend.override(service.key, f"{name}={','.join(left)}"),
        )


def _lines(site: Site, service: Service) -> Iterator[Finding]:
    """Lines that mail may have (RFC 5321, section 4.5.3.1.6) are left as they are."""
    name = "lmtp_line_length_limit"
    value = site.effective(service, name)
    if value.isdigit() and 0 < int(value) < 998:
        yield Finding(
            "lmtp-breaks-lines",
            f"{name} is {value} for {service.key}",
            "Postfix breaks lines that are well, and with them signatures (DKIM)",
            site.mend.override(service.key, f"{name}=0"),
        )


def _bound(site: Site, service: Service, used: Transport) -> Iterator[Finding]:
    """From an address of the network it cannot come to where only loopback is let in."""
    host = used.place.removeprefix(_PROXY).rpartition(":")[0].strip("[]")
    for name in ("lmtp_bind_address", "lmtp_bind_address6"):
        address = site.effective(service, name)
        if used.place.startswith(_PROXY) and address and is_loopback(host) != is_loopback(address):
            yield Finding(
                "lmtp-bind-address",
                f"{name} is {address} for {service.key}, and Lamson is at {host}",
                "Postfix cannot connect, or we do not let it in: mail for us waits",
                site.mend.override(service.key, f"{name}="),
            )


def _rates(site: Site, used: Transport) -> Iterator[Finding]:
    """With a delay between deliveries there is one at a time."""
    for one in _RATES:
        own, usual = f"{used.name}_{one}", f"default_{one}"
        value = site.value(own)
        name = usual if value is None or value == f"${usual}" else own
        value = site.get(name)
        if value.strip("0smhdw"):
            yield Finding(
                "transport-is-slowed-down",
                f"{name} is {value}",
                "Postfix brings us one message at a time, and waits for so long after each",
                site.mend.set(own, "0s"),
            )


def _filters(site: Site, service: Service) -> Iterator[Finding]:
    """An answer of ours that says wait must not be made one that says no, or well."""
    for name in _FILTERS:
        for table in map(bare, words(site.effective(service, name))):
            found = site.maps.answers(table, _SAID)
            if changed := next((one for one in found.values() if not one.startswith("4")), None):
                yield Finding(
                    "reply-is-changed",
                    f"{table} in {name} makes {changed!r} of what we say where mail is to wait",
                    "mail that we could not take is sent back, or lost",
                    site.mend.override(service.key, f"{name}="),
                )
