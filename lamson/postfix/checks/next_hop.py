"""Whether Postfix's LMTP client gets to our LMTP server: what of its configuration bars the way.

For the doctor, which itself reaches the server whatever Postfix is told.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from lamson.postfix import ours, transport
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site
    from lamson.postfix.transport import Transport


_PROTOCOLS = "inet_protocols"
_FALLBACK = "lmtp_fallback_relay"


def findings(site: Site) -> Iterator[Finding]:
    """What is in the way."""
    used = transport.of(site)
    lmtp = used.service(site)
    if lmtp is None or lmtp.program != "lmtp":
        return  # that is for the plan
    yield from _disabled(site, used)
    deferred = words(site.get("defer_transports"))
    if used.name in deferred:
        yield Finding(
            "transport-deferred",
            f"defer_transports has {used.name}",
            "mail for us stays in the queue",
            site.leave_out("defer_transports", used.name),
        )
    yield from _tls(site, lmtp, used)
    yield from _protocols(site, lmtp)
    if there := site.effective(lmtp, _FALLBACK):
        yield Finding(
            "mail-goes-elsewhere",
            f"{_FALLBACK} is {there}, also for {lmtp.key}",
            "while Lamson restarts, mail for us goes there instead of waiting",
            site.mend.override(lmtp.key, f"{_FALLBACK}="),
        )


def _disabled(site: Site, used: Transport) -> Iterator[Finding]:
    """master(8) does not listen for the client: the first item that matches decides."""
    listed = words(site.get("master_service_disable"))
    names = ("unix", used.key, f"{used.name}.unix")  # the last is how it was written before
    item = next((one for one in listed if one.removeprefix("!") in names), "!")
    if not item.startswith("!"):
        left = [one for one in listed if one != item]
        if item == "unix":
            left = [f"!{used.key}", *listed]  # the others stay as somebody wanted them
        yield Finding(
            "lmtp-disabled",
            f"master_service_disable has {item}",
            "mail for us stays in the queue",
            site.mend.set("master_service_disable", ", ".join(left)),
        )


def _tls(site: Site, lmtp: Service, used: Transport) -> Iterator[Finding]:
    wanted = transport.tls_wanted(site, lmtp)
    if not wanted:
        return
    level = site.effective(lmtp, transport.LEVEL)
    if wanted == "encrypt":
        problem = f"lmtp.tls_certificate is set, and the service {used.name} does not use TLS"
        why = "we answer 530, and Postfix sends all mail for us back"
    else:
        problem = f"{used.key} wants TLS ({level}), and lmtp.tls_certificate is not set"
        why = "mail for us stays in the queue: TLS is required, but was not offered"
    fix = site.mend.override(lmtp.key, f"{transport.LEVEL}={wanted}")
    if used.is_shared:
        fix = (
            f"by hand, as {used.name} is for the mail of others, too: name a transport of ours in"
            " config/settings.py (postfix.next_hop), and let lamson postfix apply make it"
        )
    yield Finding("lmtp-tls", problem, why, fix)


def _protocols(site: Site, lmtp: Service) -> Iterator[Finding]:
    """An address of a kind that Postfix is told not to use."""
    asked: list[tuple[str, str, Service | None]] = [("LMTP", site.settings.next_hop, lmtp)]
    if ours.has_socketmap(site):
        asked.append(("the socketmap", site.settings.lookup("recipient"), None))
    for what, place, service in asked:
        spoken = words(site.effective(service, _PROTOCOLS))
        if not spoken or "all" in spoken:
            continue
        found = re.search(r"inet:(?:\[([^]]+)\]|([^:]+))", place)
        try:
            version = ipaddress.ip_address(found[1] or found[2]).version if found else None
        except ValueError:  # a name, which may have addresses of both kinds
            continue
        if version is not None and f"ipv{version}" not in spoken:
            yield Finding(
                "inet-protocols",
                f"{_PROTOCOLS} is {', '.join(spoken)}, and {what} is at {place}",
                "Postfix cannot connect, and mail for us is deferred",
                site.mend.no_override(service.key, _PROTOCOLS)
                if service is not None and _PROTOCOLS in service.options
                else site.mend.set_and_restart(_PROTOCOLS, "all"),
            )
