"""Tables that Postfix cannot open: it then defers all mail that it has to ask them about.

Whosoever they are: with one of them in a list, ours beside it is never heard. main.cf and master.cf
name them, in lists of tables and of restrictions.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding
from lamson.postfix.match_list import TABLE
from lamson.postfix.mending import MADE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site

# Whatever is called so is a list in which a table may stand, also where Postfix's user made the
# name up. What says which tables proxymap may open, and what newaliases(1) makes, opens none.
_LISTS = re.compile(r"my(destination|networks)|\w+_(checks|domains|filter|hosts|maps|restrictions)")
_NO_LISTS = ("proxy_read_maps", "proxy_write_maps", "content_filter")
_LOCAL = ("alias_maps", "local_recipient_maps")
_OF_FILES = (*MADE, "texthash", "regexp", "pcre", "cidr")
_OF_QUERIES = ("ldap", "mysql", "pgsql", "sqlite")
_OF_CONFIGURATION = re.compile(r"parameter value|^config variable|^bad \w+ configuration")
_ENDINGS = ("", ".db", ".lmdb", ".cdb")  # of the file that postmap(1) makes


def findings(site: Site) -> Iterator[Finding]:
    """Each once, with the first list that names it."""
    named: dict[str, str] = {}
    for name, value in _lists(site):
        for word in words(value):
            table = bare(word).removeprefix("!")
            if TABLE.match(table.removeprefix("proxy:")):
                named.setdefault(table, name)
    for table, name in named.items():
        kind, _, path = table.removeprefix("proxy:").partition(":")
        if kind not in (*_OF_FILES, *_OF_QUERIES):
            continue
        problem = site.maps.problem(table)
        fix = f"by hand: put {path} in order, or take it out of {name}"
        if problem and kind in MADE and Path(path).is_file():
            is_of_aliases = "alias_maps" in name and "virtual" not in name
            fix = site.mend.postalias(table) if is_of_aliases else site.mend.postmap(table)
        if not problem and table.startswith("proxy:"):
            problem = _closed(site, path)
            fix = f"by hand: let the group {site.get('mail_owner')} read {path}"
        if not problem:
            continue
        if _OF_CONFIGURATION.search(problem):
            yield Finding(
                "configuration-is-refused",
                f"Postfix's programs do not take their configuration: {problem}",
                "none of them starts, and no mail moves",
                "by hand: correct it in main.cf",
            )
            return
        yield Finding(
            "table-cannot-be-opened",
            f"{table} in {name}: {problem}",
            "Postfix defers all mail that it has to ask it about: Temporary lookup failure",
            fix,
        )


def _lists(site: Site) -> Iterator[tuple[str, str]]:
    """The name of each list, and what stands in it: of main.cf, then of services."""
    configuration = site.configuration
    classes = words(site.get("smtpd_restriction_classes"))
    for name in sorted(configuration.explicit, key=lambda one: (one not in _LOCAL, one)):
        is_local = name in _LOCAL and not site.get("mydestination")  # nobody asks for local users
        if (_LISTS.fullmatch(name) or name in classes) and name not in _NO_LISTS and not is_local:
            yield name, site.get(name)
    for service in site.services.values():
        for name, value in service.options.items():
            if _LISTS.fullmatch(name) and name not in _NO_LISTS:
                yield f"{name} of {service.key}", value


def _closed(site: Site, path: str) -> str:
    """proxymap(8) opens it as Postfix's user; smtpd(8) and the others do while they are root."""
    try:
        owner = pwd.getpwnam(site.get("mail_owner"))
        groups = {one.gr_gid for one in grp.getgrall() if owner.pw_name in one.gr_mem}
        for place in (f"{path}{ending}" for ending in _ENDINGS):
            if not os.path.isfile(place):
                continue
            status = os.stat(place)
            bit = 0o004
            if status.st_uid == owner.pw_uid:
                bit = 0o400
            elif status.st_gid in groups | {owner.pw_gid}:
                bit = 0o040
            if not status.st_mode & bit and not _is_source(path, place):
                return f"proxymap, which runs as {owner.pw_name}, may not read {place}"
    except (KeyError, OSError):
        return ""  # another machine's, or not for us to see
    return ""


def _is_source(path: str, place: str) -> bool:
    """The text of which a table was made is not opened."""
    return place == path and any(os.path.isfile(path + ending) for ending in _ENDINGS[1:])
