"""The tables made from the routes, where Postfix reads them: there, and not out of date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.errors import RouteError
from lamson.postfix import ours, tables, transport
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.postfix.site import Site
    from lamson.postfix.tables import Table

# Where they may be named.
_MAPS = (
    "relay_recipient_maps",
    "transport_maps",
    "relay_domains",
    "local_recipient_maps",
    "virtual_mailbox_maps",
)


def used(site: Site) -> dict[Path, str]:
    """The files of ours that Postfix is told to read, and the parameter that names each.

    They are where `lamson postfix maps` writes, or say who made them.
    """
    found: dict[Path, str] = {}
    for name in _MAPS:
        for word in words(site.get(name)):
            if path := tables.of_item((ours.piped(word) or [word])[-1], site.directory):
                found.setdefault(path, name)
    return found


def findings(site: Site) -> Iterator[Finding]:
    """Those that are not as they would be made now."""
    files = used(site)
    if not files:
        return
    hops = {site.settings.next_hop, transport.of(site).next_hop}  # of former versions, which do
    try:
        made = [table for hop in hops for table in _made(site, hop)]
    except RouteError as problem:
        yield Finding(
            "tables-cannot-be-made",
            f"Postfix uses {', '.join(map(str, files))}, and {problem}",
            "what Postfix knows of the routes is of another time",
            "use the socketmap: set socketmap in config/settings.py, then lamson postfix apply",
        )
        return
    contents = {(table.name, table.content) for table in made}
    for path, name in files.items():
        place = () if path.parent == site.directory else ("-directory", str(path.parent))
        mend = site.mend.maps(place)
        if not path.exists():
            yield Finding(
                "no-tables",
                f"{name} names {path}, which is not there",
                "all mail for us is deferred",
                mend,
            )
        elif (path.name, path.read_bytes()) not in contents:
            yield Finding(
                "stale-tables",
                f"{path} is not what the routes and settings would make now",
                "Postfix refuses who has a route since, takes mail for who has none any more,"
                " or brings it to where we were",
                mend,
            )


def _made(site: Site, next_hop: str) -> tuple[Table, Table, Table]:
    tracks = site.settings.submission.track
    return tables.make(site.router, site.domains, next_hop, tracks=tracks)
