"""Whether Postfix's LMTP client gets to our LMTP server: what of its configuration bars the way.

For the doctor, which itself reaches the server whatever Postfix is told.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from lamson.postfix import ours
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_LEVEL = "lmtp_tls_security_level"
_NO_TLS = ("", "none", "may")  # with which mail goes out also where TLS is not offered


def findings(site: Site) -> Iterator[Finding]:
    """What is in the way."""
    lmtp = site.services.get("lmtp/unix")
    if lmtp is None or lmtp.program != "lmtp":
        yield Finding(
            "no-lmtp-client",
            f"master.cf has {f'{lmtp.program} as' if lmtp else 'no'} lmtp client",
            "mail for us stays in the queue",
            site.mend.set_service("lmtp/unix", "lmtp unix - - n - - lmtp"),
        )
        return
    yield from _disabled(site)
    deferred = words(site.get("defer_transports"))
    if "lmtp" in deferred:
        yield Finding(
            "transport-deferred",
            "defer_transports has lmtp",
            "mail for us stays in the queue",
            site.mend.leave_out("defer_transports", deferred, "lmtp"),
        )
    if site.settings.next_hop.startswith("lmtp:inet:"):
        yield from _tls(site, lmtp)
    yield from _protocols(site)


def _disabled(site: Site) -> Iterator[Finding]:
    """master(8) does not listen for the client: the first item that matches decides."""
    listed = words(site.get("master_service_disable"))
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
            site.mend.set("master_service_disable", ", ".join(left)),
        )


def _tls(site: Site, lmtp: Service) -> Iterator[Finding]:
    level = site.effective(lmtp, _LEVEL).lower()
    if site.effective(lmtp, "lmtp_tls_policy_maps"):
        return  # it may be another one for us
    if not level:
        for old, meaning in (("lmtp_enforce_tls", "encrypt"), ("lmtp_use_tls", "may")):
            if not level and site.effective(lmtp, old) == "yes":
                level = meaning
    offered = site.settings.lmtp.tls_certificate is not None
    wanted, problem, why = "", "", ""
    if offered and level in ("", "none"):
        wanted = "encrypt"
        problem = "lmtp.tls_certificate is set, and Postfix's LMTP client does not use TLS"
        why = "we answer 530, and Postfix sends all mail for us back"
    elif not offered and level not in _NO_TLS and not site.settings.postfix.next_hop:
        wanted = "may"
        problem = f"Postfix's LMTP client wants TLS ({level}), and lmtp.tls_certificate is not set"
        why = "mail for us stays in the queue: TLS is required, but was not offered"
    if wanted:
        fix = site.mend.set(_LEVEL, wanted)
        if _LEVEL in lmtp.options:
            fix = site.mend.override(lmtp.key, f"{_LEVEL}={wanted}")
        yield Finding("lmtp-tls", problem, why, fix)


def _protocols(site: Site) -> Iterator[Finding]:
    """An address of a kind that Postfix is told not to use."""
    spoken = words(site.get("inet_protocols"))
    if not spoken or "all" in spoken:
        return
    asked = [("LMTP", site.settings.next_hop)]
    if ours.has_socketmap(site):
        asked.append(("the socketmap", site.settings.lookup("recipient")))
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
                site.mend.set_and_restart("inet_protocols", "all"),
            )
