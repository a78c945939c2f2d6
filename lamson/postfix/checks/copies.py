"""Mail that comes to us without being for us: copies of all mail, and the machine's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import known, match_list, transport
from lamson.postfix.checks.answers import ELSEWHERE
from lamson.postfix.checks.on_the_way import listed
from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site

_BCC = ("sender_bcc_maps", "recipient_bcc_maps")
_NOTIFIED = ("2bounce", "bounce", "delay")
_ROOT = "root"  # to whom cron(8) and Postfix itself write


def findings(site: Site) -> Iterator[Finding]:
    """What brings it here."""
    yield from _of_all(site)
    yield from _of_ours(site)
    yield from _of_notices(site)
    yield from _filtered(site)
    yield from _of_the_machine(site)


def _is_ours(site: Site, address: str) -> bool:
    return site.domains.holds(address.rpartition("@")[2])


def _of_all(site: Site) -> Iterator[Finding]:
    for address in listed(site, "always_bcc"):
        if _is_ours(site, address):
            yield _looping("always_bcc", address, "all mail, and with it of each answer of ours")


def _of_ours(site: Site) -> Iterator[Finding]:
    """A copy of what we send comes to us, who may answer it."""
    addresses = known.addresses(site)
    keys = [form for one in addresses for form in (one, "@" + one.rpartition("@")[2])]
    asked = {"sender_bcc_maps": keys, "recipient_bcc_maps": [ELSEWHERE]}
    for name in _BCC:
        for table in map(bare, listed(site, name)):
            found = site.maps.answers(table, asked[name])
            if address := next((one for one in found.values() if _is_ours(site, one)), None):
                yield _looping(f"{table} in {name}", address, "what we send")


def _of_notices(site: Site) -> Iterator[Finding]:
    """What Postfix writes to its operator of trouble, such as of each bounce, with its head."""
    for word in words(site.get("notify_classes").lower()):
        name = f"{word if word in _NOTIFIED else 'error'}_notice_recipient"
        address = site.get(name)
        if address and _is_ours(site, address):
            yield _looping(name, address, f"Postfix's notices ({word} in notify_classes)")


def _looping(place: str, address: str, what: str) -> Finding:
    return Finding(
        "copies-come-to-us",
        f"{place} has {address}, which is ours",
        f"we get a copy of {what}, and may answer it",
        "by hand: name an address that is not the application's",
    )


def _filtered(site: Site) -> Iterator[Finding]:
    own = transport.of(site)
    places = {"main.cf": site.get("content_filter")}
    places |= {one.key: one.options.get("content_filter", "") for one in site.smtpds}
    for place, value in places.items():
        name, _, hop = value.partition(":")
        is_ours = name == own.name and name not in transport.SHARED
        if is_ours or (hop and transport.is_one_place(hop, own.place)):
            yield Finding(
                "filter-is-us",
                f"content_filter is {value} ({place})",
                "all mail is brought to us, who refuse what is for others",
                "by hand: a content filter hands mail back; routes are told by transport_maps",
            )


def _of_the_machine(site: Site) -> Iterator[Finding]:
    """Mail to root, and to every name without a domain, is for our domain then."""
    domain = site.get("myorigin").lower()
    if domain in site.domains.listed and not site.router.match(f"{_ROOT}@{domain}"):
        is_ours = match_list.deciding(site, "mydestination", site.get("mydestination"), domain)
        if is_ours is None:
            yield Finding(
                "myorigin-is-ours",
                f"myorigin is {domain}, and no route takes {_ROOT}@{domain}",
                "what this machine writes to root comes back as unknown",
                "by hand: myorigin = $myhostname, or a route for it",
            )
