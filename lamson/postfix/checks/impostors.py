"""Who may tell smtpd(8) that he is somebody else: by XCLIENT, XFORWARD or a path in an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix.checks import relaying
from lamson.postfix.checks.smtpd import is_public
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site

_TOLD = {
    "smtpd_authorized_xclient_hosts": (
        "strangers say that they are of mynetworks, and relay through this Postfix"
    ),
    "smtpd_authorized_xforward_hosts": (
        "strangers choose the queue id that we know a redelivery by, and mail of others vanishes"
    ),
}
_ROUTING = "allow_untrusted_routing"


def findings(site: Site) -> Iterator[Finding]:
    """Where anybody may."""
    for name, why in _TOLD.items():
        for network in relaying.everybody(site, site.get(name)):
            fix = f"by hand: {name} names single hosts"
            yield Finding("anybody-is-believed", f"{name} has {network}", why, fix)
    for service in site.smtpds:
        for name, why in _TOLD.items() if is_public(site, service) else ():
            for network in relaying.everybody(site, service.options.get(name, "")):
                problem = f"master.cf has {name} with {network} for {service.key}"
                fix = f"by hand: {name} of {service.key} names single hosts, such as a proxy"
                yield Finding("anybody-is-believed", problem, why, fix)
    if site.get(_ROUTING) == "yes":
        yield Finding(
            "untrusted-routing",
            f"{_ROUTING} is yes",
            "strangers relay by way of our domains: user%elsewhere@ours",
            site.mend.set(_ROUTING, "no"),
        )
