"""Whether Postfix's LMTP client gets to our LMTP server: what of its configuration bars the way.

For the doctor, which itself reaches the server whatever Postfix is told.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from lamson.postfix.checks.relaying import effective
from lamson.postfix.finding import Finding
from lamson.postfix.postconf import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.postconf import Postconf, Service
    from lamson.settings.model import Settings

_NO_TLS = ("", "none", "may")  # with which mail goes out also where TLS is not offered


def findings(settings: Settings, postconf: Postconf) -> Iterator[Finding]:
    """What is in the way."""
    option, reload = postconf.option, postconf.reload
    lmtp = postconf.services().get("lmtp/unix")
    if lmtp is None or lmtp.program != "lmtp":
        yield Finding(
            "no-lmtp-client",
            f"master.cf has {f'{lmtp.program} as' if lmtp else 'no'} lmtp client",
            "mail for us stays in the queue",
            f"postconf {option}-M 'lmtp/unix=lmtp unix - - n - - lmtp' && {reload}",
        )
        return
    yield from _disabled(postconf)
    deferred = words(postconf.value("defer_transports") or "")
    if "lmtp" in deferred:
        left = ", ".join(one for one in deferred if one != "lmtp")
        yield Finding(
            "transport-deferred",
            "defer_transports has lmtp",
            "mail for us stays in the queue",
            f"postconf {option}-e 'defer_transports = {left}' && {reload}",
        )
    if settings.next_hop.startswith("lmtp:inet:"):
        yield from _tls(settings, postconf, lmtp)
    yield from _protocols(settings, postconf)


def _disabled(postconf: Postconf) -> Iterator[Finding]:
    """master(8) does not listen for the client: the first item that matches decides."""
    listed = words(postconf.value("master_service_disable") or "")
    names = ("unix", "lmtp/unix", "lmtp.unix")  # the last is how it was written before
    item = next((one for one in listed if one.removeprefix("!") in names), "!")
    if not item.startswith("!"):
        left = [one for one in listed if one != item]
        if item == "unix":
            left = ["!lmtp/unix", *listed]  # the others stay as somebody wanted them
        yield Finding(
            "lmtp-disabled",
            f"master_service_disable has {item}",
            "mail for us stays in the queue",
            f"postconf {postconf.option}-e 'master_service_disable = {', '.join(left)}'"
            f" && {postconf.reload}",
        )


def _tls(settings: Settings, postconf: Postconf, lmtp: Service) -> Iterator[Finding]:
    level = effective(postconf, lmtp, "lmtp_tls_security_level").lower()
    if effective(postconf, lmtp, "lmtp_tls_policy_maps"):
        return  # it may be another one for us
    if not level:
        for old, meaning in (("lmtp_enforce_tls", "encrypt"), ("lmtp_use_tls", "may")):
            if not level and effective(postconf, lmtp, old) == "yes":
                level = meaning
    offered = settings.lmtp.tls_certificate is not None
    wanted, problem, why = "", "", ""
    if offered and level in ("", "none"):
        wanted = "encrypt"
        problem = "lmtp.tls_certificate is set, and Postfix's LMTP client does not use TLS"
        why = "we answer 530, and Postfix sends all mail for us back"
    elif not offered and level not in _NO_TLS and not settings.postfix.next_hop:
        wanted = "may"
        problem = f"Postfix's LMTP client wants TLS ({level}), and lmtp.tls_certificate is not set"
        why = "mail for us stays in the queue: TLS is required, but was not offered"
    if wanted:
        name = "lmtp_tls_security_level"
        fix = f"-e '{name} = {wanted}'"
        if name in lmtp.options:
            fix = f"-P '{lmtp.key}/{name}={wanted}'"
        yield Finding(
            "lmtp-tls", problem, why, f"postconf {postconf.option}{fix} && {postconf.reload}"
        )


def _protocols(settings: Settings, postconf: Postconf) -> Iterator[Finding]:
    """An address of a kind that Postfix is told not to use."""
    spoken = words(postconf.value("inet_protocols") or "")
    if not spoken or "all" in spoken:
        return
    asked = [("LMTP", settings.next_hop)]
    if settings.socketmap.listen or settings.postfix.lookups:
        asked.append(("the socketmap", settings.lookup("recipient")))
    for what, place in asked:
        found = re.search(r"inet:(?:\[([^]]+)\]|([^:]+))", place)
        try:
            version = ipaddress.ip_address(found[1] or found[2]).version if found else None
        except ValueError:  # a name, which may have addresses of both kinds
            continue
        if version is not None and f"ipv{version}" not in spoken:
            yield Finding(
                "inet-protocols",
                f"inet_protocols is {', '.join(spoken)}, and {what} is at {place}",
                "Postfix cannot connect, and mail for us is deferred",
                f"postconf {postconf.option}-e 'inet_protocols = all'"
                f" && postfix {postconf.option}stop && postfix {postconf.option}start",
            )
