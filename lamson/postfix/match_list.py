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

from lamson.postfix.postconf import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.postconf import Postconf

TABLE = re.compile("[a-z][a-z0-9_]*:")
_SOURCES = ("texthash", "hash", "lmdb", "btree", "cdb", "dbm", "sdbm")  # made from a text file


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


def deciding(postconf: Postconf, name: str, value: str, domain: str) -> str | None:
    """The word of the list of domains ``name`` that decides about the domain; None: nothing does.

    It begins with ``!`` where the domain is left out.
    """
    domain = domain.lower()
    has_parents = name in words(postconf.value("parent_domain_matches_subdomains") or "")
    labels = domain.split(".")
    parents = [".".join(labels[number:]) for number in range(1, len(labels))]
    keys = [domain, *(parent if has_parents else f".{parent}" for parent in parents)]
    for word in words(value):
        for item in items(word):
            bare = item.removeprefix("!")
            if TABLE.match(bare):
                found = any(postconf.ask(bare, key) is not None for key in keys)
            else:
                found = bare.lower() in keys
            if found:
                return ("!" if item.startswith("!") else "") + word.removeprefix("!")
    return None


def without(value: str, word: str, domain: str, name: str, option: str) -> str:
    """The command that takes the domain, which ``word`` brings, out of the list ``name``."""
    place = word.removeprefix("proxy:")
    kind, _, path = place.rpartition(":")
    line = domain.replace(".", r"\.")
    if word.startswith("/"):
        return rf"sed -i -E 's/(^|[[:space:],]){line}([[:space:],]|$)/\1\2/I' {word}"
    if kind in _SOURCES:
        made = "" if kind == "texthash" else f" && postmap {option}{place}"
        return rf"sed -i -E '/^{line}([[:space:]]|$)/Id' {path}{made}"
    left = ", ".join(one for one in words(value) if one != word)
    return f"postconf {option}-e '{name} = {left}'"
