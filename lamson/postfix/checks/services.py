"""The services of master.cf that mail needs on its way: there, not disabled, and by their names.

A transport that main.cf names has to be one of them: mail that would go by another stays in the
queue. Source: master(5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import submission, transport
from lamson.postfix.checks.on_the_way import client, takes_ours
from lamson.postfix.checks.smtpd import faces_the_world
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_SILENT = "smtpd waits for it, and answers nobody: no mail comes in"
_WAITS = "mail stays where it is: warning: connect to private/{name}"
_NEEDED = ("cleanup", "qmgr", "rewrite", "bounce", "defer", "error", "retry")
_PRIVATE = tuple(f"{one}/unix" for one in ("rewrite", "bounce", "defer", "error", "retry", "smtp"))
_PUBLIC = ("cleanup/unix", "qmgr/unix", "flush/unix")
_LISTS = ("smtpd_recipient_restrictions", "smtpd_relay_restrictions", "smtpd_sender_restrictions")
_ON_THE_WAY = (*(f"{one}/unix" for one in _NEEDED), "smtp/unix")
_DISABLING = "master_service_disable"
# Where main.cf names a transport: ``name:next hop``.
_TRANSPORTS = ("default_transport", "content_filter")
_OF_POSTSCREEN = "smtpd/pass"


def findings(site: Site) -> Iterator[Finding]:
    """What is missing."""
    names = {key.partition("/")[0] for key in site.services}
    for name in _NEEDED:
        if name not in names:
            yield Finding(
                "service-is-missing",
                f"master.cf has no service {name}",
                _WAITS.format(name=name),
                f"by hand: put the line for {name} back, as in master.cf.proto",
            )
    yield from _in_use(site, names)
    yield from _visible(site)
    yield from _proxied(site, names)
    yield from _behind_postscreen(site)
    yield from _named(site, names)
    yield from _disabled(site)


def _in_use(site: Site, names: set[str]) -> Iterator[Finding]:
    """What is needed only for what somebody has asked for."""
    places = (None, *(one for one in site.smtpds if takes_ours(site, one)))
    levels = [site.effective(one, "smtpd_tls_security_level") for one in places]
    clients = ((client(site), "smtp"), (transport.of(site).service(site), "lmtp"))
    levels += [site.effective(one, f"{kind}_tls_security_level") for one, kind in clients]
    asked = [word for one in places for name in _LISTS for word in words(site.effective(one, name))]
    needed = {site.effective(one, "cleanup_service_name"): _SILENT for one in places}
    needed[site.get("rewrite_service_name")] = _SILENT
    if any(one not in ("", "none") for one in levels):
        needed["tlsmgr"] = "no TLS: STARTTLS is answered 454, and what has to use it waits"
    if any(one.lower().startswith("reject_unverified_") for one in asked):
        needed["verify"] = _SILENT
    for name, why in needed.items():
        if name and name not in (*names, *_NEEDED):
            fix = f"by hand: put the line for {name} back, as in master.cf.proto"
            yield Finding("service-is-missing", f"master.cf has no service {name}", why, fix)


def _visible(site: Site) -> Iterator[Finding]:
    """Where the socket of a service lies: in private/, but for what users' programs ask."""
    own = transport.of(site).key
    for key in (own, *_PRIVATE, *_PUBLIC):
        service = site.services.get(key)
        if service is None or service.kind != "unix":
            continue
        column = service.entry.split()[2].replace("-", "y")
        right = "n" if key in _PUBLIC else "y"
        if column != right:
            yield Finding(
                "service-is-hidden",
                f"{key} has {service.entry.split()[2]} in master.cf where it is told whether it is"
                " private",
                "the other parts of Postfix do not find it: mail stays where it is",
                site.mend.set_private(key, right),
            )


def _proxied(site: Site, names: set[str]) -> Iterator[Finding]:
    """proxymap(8) asks the tables that it is told to, where it may."""
    used = {
        word
        for name in ("relay_recipient_maps", "transport_maps", "relay_domains")
        for word in words(site.get(name))
        if word.startswith("proxy:")
    }
    if used and "proxymap" not in names:
        yield Finding(
            "service-is-missing",
            f"master.cf has no service proxymap, which {min(used)} needs",
            "smtpd cannot look recipients up: all mail for us is deferred",
            "by hand: put the line for proxymap back, as in master.cf.proto",
        )
    allowed = words(site.get("proxy_read_maps"))
    for word in sorted(used if allowed else ()):
        if word not in allowed:
            yield Finding(
                "proxymap-may-not",
                f"proxy_read_maps has no {word}",
                "proxymap refuses to ask it: all mail for us is deferred",
                "by hand: proxy_read_maps has to have $relay_recipient_maps, $transport_maps and"
                " $relay_domains, as its default has",
            )


def _behind_postscreen(site: Site) -> Iterator[Finding]:
    for service in site.services.values():
        is_needed = service.program == "postscreen" and _is_worlds(site, service)
        if is_needed and _OF_POSTSCREEN not in site.services:
            yield Finding(
                "service-is-missing",
                f"master.cf has postscreen at {service.key}, and no service smtpd of type pass",
                "postscreen has nobody to hand strangers to: no mail comes in",
                "by hand: smtpd pass - - n - - smtpd, as in master.cf.proto",
            )


def _is_worlds(site: Site, service: Service) -> bool:
    """It takes mail by SMTP from the world."""
    return service.kind == "inet" and faces_the_world(site, service)


def _named(site: Site, names: set[str]) -> Iterator[Finding]:
    for parameter in _TRANSPORTS:
        value = site.get(parameter)
        name = value.partition(":")[0]
        if name and name not in names:
            yield Finding(
                "no-such-transport",
                f"{parameter} is {value}, and master.cf has no service {name}",
                "mail that goes that way stays in the queue: mail transport unavailable",
                f"by hand: add {name} to master.cf, or correct {parameter}",
            )
    for service in site.smtpds:
        value = service.options.get("content_filter", "")
        name = value.partition(":")[0]
        if name and name not in names:
            yield Finding(
                "no-such-transport",
                f"{service.key} has content_filter={value}, and master.cf has no service {name}",
                "mail that comes in there stays in the queue: mail transport unavailable",
                f"by hand: add {name} to master.cf, or correct content_filter",
            )


def _disabled(site: Site) -> Iterator[Finding]:
    """master(8) does not listen for it: the first item that matches decides."""
    listed = words(site.get(_DISABLING))
    for service in site.services.values():
        is_ours = submission.is_own(site, service)
        is_worlds = service.program == "smtpd" and faces_the_world(site, service)
        if not is_ours and not is_worlds and service.key not in _ON_THE_WAY:
            continue
        matching = (service.kind, service.key, service.key.replace("/", "."))
        item = next((one for one in listed if one.removeprefix("!") in matching), "!")
        if item == service.kind and service.key in _ON_THE_WAY:
            continue  # all of them, ours too: that has a finding of its own
        if not item.startswith("!"):
            yield Finding(
                "service-is-disabled",
                f"{_DISABLING} has {item}, which is {service.key}",
                "replies stay in the outbox"
                if is_ours
                else "no mail comes in"
                if is_worlds
                else "mail stays where it is",
                f"by hand: take {item} out of {_DISABLING}, then restart Postfix",
            )
