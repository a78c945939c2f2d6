"""Lists of domains and networks in main.cf, read as Postfix reads them.

For `plan`, the doctor, and for who is in mynetworks. An item is a name, ``/path`` of a file with
more of them, or ``type:table``, which is asked with postmap(1); after ``!`` what it matches is
left out. The first item that matches decides (see match_list(3) in Postfix's source).
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.postfix.configuration import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site

TABLE = re.compile("[a-z][a-z0-9_]*:")


def items(value: str) -> Iterator[str]:
    """The words of a list; the name of a file stands for what is in it, after ``!`` negated."""
    for word in words(value):
        negation, place = ("!", word[1:]) if word.startswith("!") else ("", word)
        if not place.startswith("/"):
            yield word
            continue
        with suppress(OSError):
            for line in Path(place).read_text(errors="replace").splitlines():
                for item in words(line.partition("#")[0]):
                    yield f"{negation}{item}".removeprefix("!!")


def deciding(site: Site, name: str, value: str, domain: str) -> str | None:
    """The word of the list of domains ``name`` that decides about the domain; None: nothing does.

    It begins with ``!`` where the domain is left out.
    """
    domain = domain.lower()
    has_parents = name in words(site.get("parent_domain_matches_subdomains"))

    def keys(domain: str) -> list[str]:
        labels = domain.split(".")
        parents = [".".join(labels[number:]) for number in range(1, len(labels))]
        return [domain, *(parent if has_parents else f".{parent}" for parent in parents)]

    for word in words(value):
        for item in items(word):
            bare = item.removeprefix("!")
            if TABLE.match(bare):
                found = bool(site.answers(bare, domain, keys))
            else:
                found = bare.lower() in keys(domain)
            if found:
                return ("!" if item.startswith("!") else "") + word.removeprefix("!")
    return None
