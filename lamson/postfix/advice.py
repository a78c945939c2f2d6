"""What a person has to weigh, since it is everybody's who uses this Postfix; `apply` leaves it.

Its limit of size, whether it takes addresses beyond ASCII, how it refuses whom it has verified not
to be there; and what tables cannot know. For `plan` and the doctor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.net.endpoint import is_loopback
from lamson.postfix import ours
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding
from lamson.postfix.submission import TAKING
from lamson.postfix.want import number
from lamson.postfix.wanted import ROOM, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site

_VERIFY = "reject_unverified_recipient"
_COPIES = ("always_bcc", "recipient_bcc_maps", "sender_bcc_maps")


def findings(site: Site) -> Iterator[Finding]:
    """What is wrong between the site's limits and ours."""
    name, largest = "message_size_limit", site.settings.lmtp.max_size
    value = site.get(name)
    want = size(site.settings)
    if want.is_met_by(value):
        return
    try:
        enough = number(value) + number(value) // (ROOM - 1) + 1
    except LamsonError as problem:
        fix = f"by hand: {name} {problem}"
    else:
        fix = f"raise lmtp.max_size to {enough} in config/settings.py, then lamson restart"
        if enough == 1:
            fix = f"by hand: give {name} a value, which counts for all mail of this Postfix"
    yield Finding(name, f"{name} is {value}, and lmtp.max_size {largest}", want.why, fix)


def remarks(site: Site) -> Iterator[str]:
    """What is well as it is, and worth being known."""
    if site.value("smtputf8_enable") == "no":
        yield "smtputf8_enable is no: mail with an address beyond ASCII is refused"
    interfaces = [one.strip("[]") for one in words(site.get("inet_interfaces"))]
    is_here = all(one == "loopback-only" or is_loopback(one) for one in interfaces)
    takes_smtp = [one for one in site.services.values() if one.program in TAKING and not one.host]
    if interfaces and is_here and takes_smtp:
        yield "inet_interfaces is this machine alone: nobody else can hand mail in"
    for name in _COPIES:
        if value := site.get(name):
            yield f"{name} is {value}: a copy of mail to and from us goes there"
    yield from _verified(site)
    yield from _forged(site)


def _forged(site: Site) -> Iterator[str]:
    """Tables know only what a token looks like."""
    signed = [route for route in site.router.routes if route.signed]
    if signed and not ours.has_socketmap(site) and not site.settings.milter.check_recipients:
        yield (
            f"{signed[0].format} has a signed capture, and Postfix reads tables: it takes what was"
            " forged or has expired, and bounces it, unless you set socketmap.listen or"
            " milter.check_recipients"
        )


def _verified(site: Site) -> Iterator[str]:
    """Postfix's default while somebody tries verification out, as its guide has it."""
    for service in site.smtpds:
        listed = words(site.effective(service, "smtpd_recipient_restrictions").lower())
        code = site.effective(service, "unverified_recipient_reject_code")
        if _VERIFY not in listed or not code.startswith("4"):
            continue
        if "reject_unlisted_recipient" not in listed[: listed.index(_VERIFY)]:
            yield (
                f"{_VERIFY} answers {code} at {service.key} (unverified_recipient_reject_code):"
                " strangers try for days to reach an address of ours that there is not, unless"
                " reject_unlisted_recipient stands before it"
            )
