"""The tables that main.cf names, asked with postmap(1): all keys of a table at once, each once.

For `lamson.postfix.site`. A table that cannot be asked, or is silent, has nothing: the doctor finds
that by other means. One behind proxymap(8) is asked directly, since Postfix may not run.
"""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lamson.postfix.tables import command

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence, Set

_PATIENCE = 10.0  # seconds for a table; a dead socketmap is tried again and again
_NOBODYS = "lamson-check@relay-probe.invalid"
_PER_KEY = 0.01  # seconds more for each key
_LISTABLE = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm")  # with ``postmap -s``
# What postmap says where one key, and not the table, was the trouble (postmap.c).
_FAILED = "query error"


class Maps(Protocol):
    """Tables that can be asked."""

    def answers(
        self, table: str, keys: Sequence[str], later: Iterable[str] = ()
    ) -> Mapping[str, str]:
        """What the table ``type:name`` has for these keys; a key that it does not have is left
        out. ``later`` are keys that will be asked for: where it has to be asked now, it is asked
        for them as well."""

    def keys(self, table: str) -> Set[str]:
        """All keys of the table, where it is of a kind that can be listed; else none."""

    def problem(self, table: str) -> str:
        """Why the table cannot be opened; nothing where it can."""

    def expect(self, keys: Iterable[str]) -> None:
        """These will be asked for in many tables: each is asked for them when it is first asked."""


class PostmapMaps:
    """The tables of the configuration that ``place`` names to Postfix's commands (``-c DIR``).

    What a table has answered is kept: later changes of it are not seen.
    """

    def __init__(self, place: Sequence[str]) -> None:
        self._place = place
        self._known: dict[str, dict[str, str]] = {}
        self._silent: set[str] = set()
        self._said: dict[str, str] = {}  # what postmap complained of, when each was first asked
        self._expected: tuple[str, ...] = ()

    def answers(
        self, table: str, keys: Sequence[str], later: Iterable[str] = ()
    ) -> Mapping[str, str]:
        """See `Maps`."""
        table = table.removeprefix("proxy:")
        known = self._known.setdefault(table, {})
        if not known.keys() >= set(keys):
            asked = dict.fromkeys((*keys, *later, *self._expected))
            new = [key for key in asked if key not in known]
            known.update({**dict.fromkeys(new, ""), **self._ask(table, new)})
        return {key: known[key] for key in keys if known[key]}

    def expect(self, keys: Iterable[str]) -> None:
        """See `Maps`."""
        self._expected = tuple(keys)

    def keys(self, table: str) -> Set[str]:
        """See `Maps`."""
        table = table.removeprefix("proxy:")
        kind, _, path = table.partition(":")
        with suppress(OSError):
            if kind == "texthash":
                lines = Path(path).read_text(errors="replace").splitlines()
                return {line.split()[0] for line in lines if line[:1] not in ("", " ", "\t", "#")}
        if kind not in _LISTABLE:
            return set()
        done = subprocess.run(
            [command("postmap"), *self._place, "-s", table],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE,
        )
        return {line.partition("\t")[0] for line in done.stdout.splitlines()}

    def problem(self, table: str) -> str:
        """See `Maps`. One that is silent has been opened."""
        table = table.removeprefix("proxy:")
        if table not in self._said:
            self.answers(table, [_NOBODYS])
        said = self._said.get(table, "")
        for line in () if _FAILED in said else said.splitlines():
            if (found := re.search(r"(?:fatal|error): (.*)", line)) is not None:
                return found[1]
        return ""

    def _ask(self, table: str, keys: Sequence[str]) -> dict[str, str]:
        done = self._run(table, keys)
        if done is None:
            return {}
        self._said[table] = done.stderr
        if _FAILED in done.stderr and len(keys) > 1:  # it gave up at one of them
            return self._ask_each(table, keys, has_answered=bool(done.stdout))
        return _read(done.stdout, set(keys))

    def _ask_each(self, table: str, keys: Sequence[str], *, has_answered: bool) -> dict[str, str]:
        """One key after the other. Where it has answered nothing, and fails for two of them with
        the same words, it is the table that does not answer: a dead socketmap is tried for a second
        each time."""
        found: dict[str, str] = {}
        words = ""
        for key in keys:
            done = self._run(table, [key])
            if done is None:
                break
            if _FAILED not in done.stderr:
                has_answered = True
                found.update(_read(done.stdout, {key}))
            elif done.stderr == words and not has_answered:
                self._silent.add(table)
                break
            words = done.stderr
        return found

    def _run(self, table: str, keys: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
        """None where it is known to be silent, or is found to be."""
        if table in self._silent:
            return None
        try:
            done = subprocess.run(
                [command("postmap"), *self._place, "-q", "-", table],
                input="".join(f"{key}\n" for key in keys),
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_PATIENCE + _PER_KEY * len(keys),
            )
            self._said.setdefault(table, done.stderr)
            return done
        except subprocess.TimeoutExpired:
            self._silent.add(table)
            return None


def _read(text: str, keys: Set[str]) -> dict[str, str]:
    """Lines ``key<TAB>value``; a line that begins with none of the keys belongs to a value."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        key, tab, value = line.partition("\t")
        if tab and key in keys:
            name = key
            found[name] = value.strip()
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found
