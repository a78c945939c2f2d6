"""What master.cf overrides of what this project wants of main.cf.

For the doctor. main.cf may be as it should be, and yet the very program that reads the value be
given another one with ``-o``. The milters and recipients of a service have checks of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import plan
from lamson.postfix.checks.smtpd import is_public
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site
    from lamson.postfix.want import Want

# The programs that read a value, of those that we want.
_READERS = {
    "smtpd": (
        "message_size_limit",
        "relay_domains",
        "smtpd_forbid_bare_newline",
        "smtpd_forbid_bare_newline_exclusions",
    ),
    "cleanup": ("enable_long_queue_ids", "message_size_limit"),
    "trivial-rewrite": ("relay_domains", "transport_maps"),
}


def findings(site: Site, wants: Iterable[Want]) -> Iterator[Finding]:
    """The overrides with which a want is not met; of smtpd, those of services that are public."""
    by_name = {want.name: want for want in wants}
    for service in site.services.values():
        if service.program == "smtpd" and not is_public(site, service):
            continue
        names = _READERS.get(service.program, ())
        if service.program == "qmgr":  # whatever the transport is called
            names = tuple(name for name in by_name if "_destination_" in name)
        for name in names:
            want, value = by_name.get(name), service.options.get(name)
            if want is None or value is None or plan.is_met(site, want, value):
                continue
            yield Finding(
                "master-cf-override",
                f"master.cf has {name}={value} for {service.key}",
                want.why,
                _mended(site, service, want, value),
            )


def _mended(site: Site, service: Service, want: Want, value: str) -> str:
    """What the service has of its own for others stays."""
    if want.name == "message_size_limit":
        return (
            f"by hand: {value} is what others may send at {service.key}; raise lmtp.max_size in"
            " config/settings.py beyond it, or give the service another one"
        )
    there = words(value)
    if want.has_domains and there:
        lacking = [one for one in words(want.value) if one not in there]
        if not any(one.startswith("!") for one in there):
            return site.mend.override(service.key, f"{want.name}={','.join([*there, *lacking])}")
    if want.is_list and not set(there) <= set(words(site.get(want.name))):
        return f"by hand: {want.name} of {service.key} has to have what main.cf has, too"
    return site.mend.no_override(service.key, want.name)
