"""Addresses that the application takes, for the doctor to follow.

One for each route and each domain of ours that it names. They are made up from the patterns: what
they are for, a conversation or a list, need not be there, and no message is sent to them.
"""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from lamson.routing import sample

if TYPE_CHECKING:
    from lamson.postfix.site import Site

MOST = 30  # recipients that one connection is asked to take; Postfix's own limit is beyond it


def addresses(site: Site) -> list[str]:
    """The first address of each route, then the second of each, and so on; `MOST` at most."""
    by_route = [
        [one for one in sample.addresses(route.pattern, site.domains.listed) if one.isascii()]
        for route in site.router.routes
    ]
    found = filter(None, chain.from_iterable(zip_longest(*by_route)))
    return list(dict.fromkeys(found))[:MOST]
