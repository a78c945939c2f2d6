"""What Postfix's configuration says: the texts that postconf(1) prints, as values.

For `lamson.postfix.site`. Nothing is asked or read here, so that a configuration can also be made
from texts alone, for a test or to compare two of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_USUAL_DIRECTORY = "/etc/postfix"


@dataclass(frozen=True, slots=True)
class Service:
    """An entry of master.cf: ``key`` is ``name/type``, ``options`` its ``-o`` overrides,
    ``$`` expanded; ``chroot`` what ``-`` means in that column."""

    key: str
    entry: str
    options: Mapping[str, str]
    chroot: str = "n"

    @property
    def program(self) -> str:
        """The command, such as smtpd."""
        fields = self.entry.split()
        return fields[7] if len(fields) > 7 else ""

    @property
    def kind(self) -> str:
        """``inet``, ``pass``, ``unix`` or ``fifo``."""
        return self.key.rpartition("/")[2]

    @property
    def host(self) -> str:
        """Where an ``inet`` one listens; empty for all of ``inet_interfaces``."""
        return self.key.rpartition("/")[0].rpartition(":")[0].strip("[]")

    @property
    def port(self) -> str:
        """At which port an ``inet`` one listens: a number, or a name of services(5)."""
        return self.key.rpartition("/")[0].rpartition(":")[2]

    @property
    def is_chrooted(self) -> bool:
        """It sees the queue directory alone: ``y``, or ``-`` where that means it."""
        fields = self.entry.split()
        return len(fields) > 4 and fields[4].replace("-", self.chroot) == "y"


@dataclass(frozen=True, slots=True)
class Configuration:
    """One reading of main.cf and master.cf.

    ``values`` are effective and expanded, one for each parameter that this Postfix has;
    ``explicit`` is what main.cf says and ``defaults`` what Postfix takes where it says nothing,
    neither expanded. ``services`` are by ``name/type``.
    """

    values: Mapping[str, str]
    explicit: Mapping[str, str]
    defaults: Mapping[str, str]
    services: Mapping[str, Service]

    @classmethod
    def of(
        cls,
        *,
        values: str,
        explicit: str = "",
        defaults: str = "",
        entries: str = "",
        overrides: str = "",
    ) -> Configuration:
        """Of what postconf prints, for ``-x``, ``-n``, ``-d``, ``-M`` and ``-x -P``."""
        known = parsed(values)
        return cls(
            known,
            parsed(explicit),
            parsed(defaults),
            _services(entries, parsed(overrides), known.get("compatibility_level", "")),
        )

    @property
    def directory(self) -> Path:
        """Where main.cf is."""
        return Path(self.values.get("config_directory") or _USUAL_DIRECTORY)


def parsed(text: str) -> dict[str, str]:
    """Lines ``name = value``; a value over several lines goes on after white space."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1].isspace() and name:
            found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            name, _, value = (part.strip() for part in line.partition("="))
            found[name] = value
    return found


def words(value: str) -> list[str]:
    """The items of a list in main.cf, which has commas or white space between them.

    What stands between braces is one item.
    """
    items, item, depth = [], "", 0
    for character in value:
        depth += (character == "{") - (character == "}")
        if depth == 0 and (character.isspace() or character == ","):
            items.append(item)
            item = ""
        else:
            item += character
    return [one for one in (*items, item) if one]


def bare(item: str) -> str:
    """An item of a list without its own options: ``{ inet:…, default_action=accept }``."""
    return words(item[1:-1])[0] if item.startswith("{") and words(item[1:-1]) else item


def option(item: str, name: str) -> str | None:
    """What an item says of itself by ``{ item, name=value }``; None where it says nothing."""
    if item == bare(item):
        return None
    options = [word.replace(" ", "") for word in item[1:-1].split(",")]
    found = [one.partition("=")[2] for one in options if one.startswith(f"{name}=")]
    return found[-1] if found else None


def _services(text: str, overrides: Mapping[str, str], level: str) -> dict[str, Service]:
    options: dict[str, dict[str, str]] = {}
    for name, value in overrides.items():
        key, _, parameter = name.rpartition("/")
        options.setdefault(key, {})[parameter] = value
    # A main.cf that was brought along from Postfix 2 has its defaults, as long as it says none.
    chroot = "y" if (level or "0") == "0" else "n"
    found = {}
    for line in text.splitlines():
        fields = line.split()
        key = f"{fields[0]}/{fields[1]}"
        found[key] = Service(key, " ".join(fields), options.get(key, {}), chroot)
    return found
