"""Where what we send goes from the submission server on: to the world, not back, nor nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.net.endpoint import is_loopback
from lamson.postfix import known, submission, transport
from lamson.postfix.checks.answers import ELSEWHERE
from lamson.postfix.checks.on_the_way import client
from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lamson.postfix.site import Site

_NOWHERE = {
    "discard": "it is thrown away",
    "error": "it comes back, and ends in run/undeliverable",
    "retry": "it stays in the queue, and comes back after days",
    "defer": "it stays in the queue, and comes back after days",
    "hold": "it stays in the hold queue",
}
_HOPS = ("default_transport", "relayhost")
_BY_SENDER = ("sender_dependent_default_transport_maps", "sender_dependent_relayhost_maps")
_CHOSEN = {
    "encrypt": "has no TLS",
    "dane-only": "has no TLSA record",
    **dict.fromkeys(("verify", "secure", "fingerprint"), "cannot prove who it is"),
}
_ANY = "*"


def findings(site: Site) -> Iterator[Finding]:
    """What is wrong with the way out."""
    for name in _HOPS:
        if value := site.get(name):
            said, is_relayhost = f"{name} is {value}", name == "relayhost"
            yield from _judged(site, value, said, is_relayhost=is_relayhost)
    senders = [*known.addresses(site), *(f"lamson-check@{one}" for one in site.domains.listed)]
    for name in _BY_SENDER:
        keys = [key for one in senders for key in (one, "@" + one.rpartition("@")[2])]
        is_host = name.endswith("relayhost_maps")
        yield from _tables(site, name, keys, is_relayhost=is_host)
    domain = ELSEWHERE.partition("@")[2]
    yield from _tables(site, "transport_maps", [ELSEWHERE, domain, _ANY], is_relayhost=False)
    for host in words(site.effective(client(site), "smtp_fallback_relay")):
        yield from _judged(site, host, f"smtp_fallback_relay has {host}", is_relayhost=True)
    yield from _deferred(site)
    yield from _to_the_world(site)
    yield from _without_passwords(site)
    yield from _named(site)


def _tables(site: Site, name: str, keys: Iterable[str], *, is_relayhost: bool) -> Iterator[Finding]:
    for table in map(bare, words(site.get(name))):
        for key, hop in list(site.maps.answers(table, list(keys)).items())[:1]:
            said = f"{table} in {name} has {hop} for {key}"
            yield from _judged(site, hop, said, is_relayhost=is_relayhost)


def _judged(site: Site, hop: str, said: str, *, is_relayhost: bool) -> Iterator[Finding]:
    name, _, place = ("smtp", "", hop) if is_relayhost else hop.partition(":")
    place = place or hop.partition(":")[2]
    if name in _NOWHERE and not is_relayhost:
        yield Finding(
            "outgoing-goes-nowhere",
            f"{said}, also for what we send",
            f"of replies and forwards: {_NOWHERE[name]}",
            "by hand: it is for all mail; a line for what is not to go out has to say what",
        )
    elif not is_relayhost and _is_to_us(site, name, place):
        yield Finding(
            "mail-loops",
            f"{said}, which is the way to us",
            "what we send comes back to us, and is refused",
            "by hand: only our domains belong there, as transport_maps has them",
        )
    elif _is_here(site, place):
        yield Finding(
            "mail-loops",
            f"{said}, which is this Postfix",
            "what we send goes round until Postfix gives it up: mail loops back to myself",
            "by hand: name the server that takes mail for the world, or nothing",
        )


def _is_to_us(site: Site, name: str, place: str) -> bool:
    own = transport.of(site)
    is_our_place = bool(place) and transport.is_one_place(place, own.place)
    return is_our_place or (name == own.name and name not in transport.SHARED)


def _without_passwords(site: Site) -> Iterator[Finding]:
    """A client of Postfix's that is to log in, and is told no password, ends as it starts."""
    for prefix, service, what in (
        ("smtp", client(site), "what we send stays in the queue"),
        ("lmtp", transport.of(site).service(site), "mail for us stays in the queue"),
    ):
        name = f"{prefix}_sasl_auth_enable"
        if service is None or service.program != prefix or site.effective(service, name) != "yes":
            continue
        if not site.effective(service, f"{prefix}_sasl_password_maps"):
            yield Finding(
                "client-has-no-password",
                f"{name} is yes for {service.key}, and {prefix}_sasl_password_maps is empty",
                f"{what}: fatal: specify a password table",
                f"by hand: {prefix}_sasl_password_maps, or {name} = no",
            )


def _deferred(site: Site) -> Iterator[Finding]:
    """What dial-up hosts had, whose queue somebody flushes."""
    name = site.get("default_transport").partition(":")[0]
    deferred = words(site.get("defer_transports"))
    if name in deferred:
        yield Finding(
            "transport-deferred",
            f"defer_transports has {name}",
            "what we send stays in the queue until somebody flushes that (postqueue -f)",
            f"by hand: {name} is how the mail of others leaves, too; take it out of"
            " defer_transports, or give what we send a transport of its own"
            " (sender_dependent_default_transport_maps)",
        )


def _is_here(site: Site, place: str) -> bool:
    """One of the ports that this very Postfix takes mail at."""
    host, _, port = place.removeprefix("inet:").rpartition(":")
    if not port.isalnum() or not host:
        host, port = place, "25"
    host = host.strip("[]").lower()
    names = {site.get("myhostname").lower(), "localhost"}
    if not is_loopback(host) and host not in names:
        return False
    number = int(port) if port.isdigit() else 25
    at = "127.0.0.1" if host in names else host
    service = submission.listener(at, number, site.services)
    return service is not None and service.program in submission.TAKING


def _to_the_world(site: Site) -> Iterator[Finding]:
    """Values that are for a smarthost, where there is none."""
    relayhost = site.get("relayhost")
    host = relayhost.partition("]")[0].strip("[]").partition(":")[0]
    for name in ("smtp_bind_address", "smtp_bind_address6"):
        address = site.get(name)
        if address and is_loopback(address) and not (host and is_loopback(host)):
            yield Finding(
                "outgoing-bind-address",
                f"{name} is {address}",
                "what we send cannot leave this machine, and stays in the queue",
                site.mend.set(name, ""),
            )
    if relayhost or any(map(site.get, _BY_SENDER)):
        return
    leaving = client(site)
    name = "smtp_tls_security_level"
    level = site.effective(leaving, name)
    if not level and site.effective(leaving, "smtp_enforce_tls") == "yes":
        name, level = "smtp_enforce_tls", "encrypt"
    if level in _CHOSEN and not site.get("smtp_tls_policy_maps"):
        yield Finding(
            "outgoing-tls",
            f"{name} is {site.effective(leaving, name)} for all the world",
            f"what we send stays in the queue wherever a server {_CHOSEN[level]}",
            "by hand: dane or may, and more for single servers (smtp_tls_policy_maps)",
        )
    if site.effective(leaving, "smtp_tls_wrappermode") == "yes":
        yield Finding(
            "outgoing-tls",
            "smtp_tls_wrappermode is yes for all the world",
            "what we send stays in the queue: servers at port 25 speak no TLS before STARTTLS",
            "by hand: it is for a transport to a relayhost at port 465",
        )
    has_no_dns = site.get("smtp_dns_support_level") == "disabled"
    if has_no_dns or site.get("disable_dns_lookups") == "yes":
        yield Finding(
            "outgoing-without-dns",
            "Postfix is told not to ask DNS (disable_dns_lookups, smtp_dns_support_level)",
            "what we send goes past the servers that take mail for a domain (MX)",
            "by hand: name a relayhost, or let Postfix ask",
        )


def _named(site: Site) -> Iterator[Finding]:
    """Who says HELO with half a name is refused by many (RFC 5321, section 2.3.5)."""
    name = "smtp_helo_name"
    value = site.get(name) or site.get("myhostname")
    if value and "." not in value.strip("[]") and ":" not in value:
        yield Finding(
            "myhostname-is-no-full-name",
            f"Postfix says HELO {value} (myhostname, smtp_helo_name)",
            "many servers refuse what we send: need fully-qualified hostname",
            "by hand: myhostname has to be a name that DNS knows",
        )
