"""Addresses that the application takes, for the doctor to follow.

One for each route and each domain of ours that it names, but for those that take a signed token.
They are made up from the patterns: what they are for, a conversation or a list, need not be there,
and no message is sent to them.
"""

from __future__ import annotations

from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING

from lamson.postfix.finding import NOBODY
from lamson.routing import sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site

_ASKED_WITH = ("lamson-check", "lamson-check-of-the-domain", NOBODY)
_ELSEWHERE = "lamson-check@relay-probe.invalid"
MOST = 30  # recipients that one connection is asked to take; Postfix's own limit is beyond it


def keys(site: Site) -> Iterator[str]:
    """What the doctor asks tables for, when it follows these addresses, and mail elsewhere."""
    domains = sorted(site.domains.listed)
    unlikely = [f"{name}@{domain}" for domain in domains for name in _ASKED_WITH]
    for address in (*addresses(site), *unlikely, _ELSEWHERE):
        local, _, domain = address.rpartition("@")
        labels = domain.split(".")
        above = [".".join(labels[number:]) for number in range(1, len(labels))]
        names = [local.partition(sign)[0] for sign in site.get("recipient_delimiter")]
        yield from (address, f"@{domain}", domain, f"{local}@")
        yield from (f"{name}@{domain}" for name in names if name)
        yield from (form for one in above for form in (one, f".{one}"))
    yield "*"


def listed(site: Site, table: str) -> list[str]:
    """Addresses that the application takes, and that the table has by themselves, where it is of a
    kind that can be listed; `MOST` at most."""
    found = (
        key
        for key in sorted(site.maps.keys(table))
        if key.rpartition("@")[2] in site.domains.listed and site.router.match(key)
    )
    return list(islice(found, MOST))


def addresses(site: Site) -> list[str]:
    """The first address of each route, then the second of each, and so on; `MOST` at most."""
    by_route = [
        [one for one in sample.addresses(route.pattern, site.domains.listed) if one.isascii()]
        for route in site.router.routes
        if not route.signed  # what is made up was not signed
    ]
    found = filter(None, chain.from_iterable(zip_longest(*by_route)))
    return list(dict.fromkeys(found))[:MOST]
