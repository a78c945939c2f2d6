"""What a table of Postfix's has in it: its keys, each with its value, as far as can be known.

For `lamson.postfix.sample`. A table that is a database is listed with postmap(1), one that is a
text is read; of expressions that is known which is written in them letter by letter. What is asked
over a socket, or in SQL or LDAP, cannot be listed. Of a large table a sample is kept, spread over
it and the same each time.
"""

from __future__ import annotations

import pwd
import random
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.postfix.configuration import words
from lamson.postfix.ours import plain
from lamson.postfix.tables import command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_DATABASES = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm")
_EXPRESSIONS = ("regexp", "pcre")
_LITERAL = re.compile(r"(?:\^([\w+-]+))?(@?)([\w-]+(?:\\\.[\w-]+)+)")


@dataclass(slots=True)
class Listed:
    """``pairs`` of key and value, at most so many as were asked for, of ``total`` that there are;
    ``unlisted`` are the tables that could not be listed."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    total: int = 0
    unlisted: list[str] = field(default_factory=list)


def of(table: str, place: Sequence[str], most: int) -> Listed:
    """At most ``most`` entries of ``type:name``; ``place`` is ``-c DIR`` for Postfix's commands."""
    found = Listed()
    chance = random.Random(0)
    for part in _parts(plain(table)):
        pairs = _pairs(part, place)
        if pairs is None:
            found.unlisted.append(part)
            continue
        for pair in pairs:
            found.total += 1
            if len(found.pairs) < most:
                found.pairs.append(pair)
            elif (where := chance.randrange(found.total)) < most:
                found.pairs[where] = pair
    return found


def _parts(table: str) -> list[str]:
    """The tables that it consists of: of a pipemap only the first is asked about addresses."""
    table = table.removeprefix("proxy:")
    joined = re.fullmatch(r"(unionmap|pipemap): *\{(.*)\}", table)
    if joined is None:
        return [table]
    asked = words(joined[2])[: 1 if joined[1] == "pipemap" else None]
    return [one for part in asked for one in _parts(part)]


def _pairs(table: str, place: Sequence[str]) -> Iterator[tuple[str, str]] | None:
    kind, _, name = table.partition(":")
    if kind == "inline":
        return _inline(name)
    if kind == "unix" and name == "passwd.byname":
        return ((one.pw_name, "") for one in pwd.getpwall())
    if kind in _EXPRESSIONS:
        text = name if name.startswith("{") else _text(Path(name))
        return None if text is None else _literals(text)
    if kind in _DATABASES:
        pairs = _database(table, place)
        first = next(pairs, None)
        if first is not None:
            return _joined(first, pairs)
    if kind in ("texthash", *_DATABASES):
        text = _text(Path(name))
        return None if text is None else _lines(text)
    return None


def _joined(first: tuple[str, str], rest: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    yield first
    yield from rest


def _database(table: str, place: Sequence[str]) -> Iterator[tuple[str, str]]:
    with subprocess.Popen(
        [command("postmap"), *place, "-s", table],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
    ) as listing:
        assert listing.stdout is not None
        for line in listing.stdout:
            key, tab, value = line.rstrip("\n").partition("\t")
            if tab:
                yield key, value


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Of a text that postmap(1) or postalias(1) makes a database of."""
    for line in text.splitlines():
        if line[:1] in ("", "#") or line[0].isspace():
            continue
        key, *value = line.split(None, 1)
        yield key.removesuffix(":"), value[0] if value else ""


def _inline(text: str) -> Iterator[tuple[str, str]]:
    for item in words(text.strip()[1:-1]):
        key, _, value = item.strip("{} ").partition("=")
        yield key.strip(), value.strip()


def _literals(text: str) -> Iterator[tuple[str, str]]:
    """The names of domains, and the addresses, that stand in expressions as they are."""
    rules: Iterable[str] = (line for line in text.splitlines() if not line.startswith("#"))
    for rule in rules:
        for local, at, domain in _LITERAL.findall(rule):
            yield f"{local if at else ''}{at}{domain}".replace("\\", ""), ""
