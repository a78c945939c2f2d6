"""How Postfix's configuration names what is ours: our maps, our tables, our milter.

For `wanted` and the doctor, which have to know our own among those of others, in all their forms.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.postfix import tables
from lamson.postfix.configuration import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.postfix.site import Site


_LOCALHOST = re.compile(r"(?<![\w.-])localhost(?=:)", re.IGNORECASE)


def has_socketmap(site: Site) -> bool:
    """Postfix asks us; else it reads tables made from the routes."""
    return bool(site.settings.socketmap.listen or site.settings.postfix.lookups)


def recipients(site: Site) -> str:
    """The map of our recipients."""
    if has_socketmap(site):
        return site.settings.lookup("recipient")
    return f"regexp:{site.directory}/{tables.RECIPIENTS}"


def is_recipients(site: Site) -> Callable[[str], bool]:
    """Tells of an item of a list whether it is the map of our recipients, in any of its forms."""
    return _is("recipient", tables.RECIPIENTS, site)


def is_domains(site: Site) -> Callable[[str], bool]:
    """The same for the map of our domains."""
    return _is("domain", tables.DOMAINS, site)


def _is(name: str, file: str, site: Site) -> Callable[[str], bool]:
    """Our socketmap's map, or a table of our routes; also behind a filter (pipemap)."""
    asked = site.settings.lookup(name) if has_socketmap(site) else None

    def is_ours(item: str) -> bool:
        item = (piped(item) or [item])[-1].removeprefix("proxy:")
        path = tables.of_item(item, site.directory)
        is_asked = asked is not None and by_number(item) == by_number(asked)
        return is_asked or (path is not None and path.name == file)

    return is_ours


def by_number(text: str) -> str:
    """What names this machine ``localhost``, with its address instead."""
    return _LOCALHOST.sub("127.0.0.1", text)


def piped(item: str) -> list[str]:
    """The tables of a pipemap, each asked what the one before has answered; none where it is no
    pipemap."""
    found = re.fullmatch(r"(?:proxy:)?pipemap: *\{(.*)\}", plain(item))
    return words(found[1]) if found else []


def plain(text: str) -> str:
    """As Postfix reads a value of main.cf, in which ``$$`` is a dollar."""
    return text.replace("$$", "$")


def is_milter(site: Site) -> Callable[[str], bool]:
    """Tells of an item of smtpd_milters, without its own options, whether it is ours.

    Where the socket lies below the queue directory, it is also as a chrooted smtpd sees it.
    """
    milter = site.settings.milter
    own = {milter.endpoint()}
    queue = Path(site.get("queue_directory") or "/")
    if milter.host_port is None and milter.unix_path and milter.unix_path.is_relative_to(queue):
        inside = milter.unix_path.relative_to(queue)
        own |= {f"unix:{inside}", f"unix:/{inside}"}
    known = set(map(by_number, own))
    return lambda item: by_number(item) in known
