"""Postfix's configuration, read and written through postconf(1) and nothing else.

For `lamson postfix plan`, `apply` and `check`. A directory that holds no configuration, and a
postconf that refuses, raise LamsonError with what postconf said.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.postfix.tables import command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PATIENCE = 10.0  # seconds for the answer of a map; a dead socketmap is tried again and again


@dataclass(frozen=True, slots=True)
class Service:
    """An entry of master.cf: ``key`` is ``name/type``, ``options`` its ``-o`` overrides,
    ``$`` expanded; ``chroot`` what ``-`` means in that column."""

    key: str
    entry: str
    options: dict[str, str]
    chroot: str = "n"

    @property
    def program(self) -> str:
        """The command, such as smtpd."""
        fields = self.entry.split()
        return fields[7] if len(fields) > 7 else ""

    @property
    def is_chrooted(self) -> bool:
        """It sees the queue directory alone: ``y``, or ``-`` where that means it."""
        fields = self.entry.split()
        return len(fields) > 4 and fields[4].replace("-", self.chroot) == "y"


class Postconf:
    """The configuration in ``directory``; None for the one that postconf takes by itself."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._program = command("postconf")

    @property
    def option(self) -> str:
        """How a person names this configuration to Postfix's commands: ``-c DIR ``, or nothing."""
        return f"-c {self._directory} " if self._directory else ""

    @property
    def reload(self) -> str:
        """The command that has Postfix read it again."""
        return f"postfix {self.option}reload"

    def explicit(self) -> dict[str, str]:
        """What main.cf says, not expanded (``postconf -n``)."""
        return _settings(self._run("-n"))

    def value(self, name: str) -> str | None:
        """The effective value, ``$`` expanded; None where this Postfix has no such parameter."""
        return _settings(self._run("-x", name)).get(name)

    def default(self, name: str) -> str | None:
        """What Postfix takes where main.cf says nothing, not expanded (``postconf -d``)."""
        return _settings(self._run("-d", name)).get(name)

    def services(self) -> dict[str, Service]:
        """The entries of master.cf, by ``name/type``."""
        options: dict[str, dict[str, str]] = {}
        for name, value in _settings(self._run("-x", "-P")).items():
            key, _, parameter = name.rpartition("/")
            options.setdefault(key, {})[parameter] = value
        found = {}
        # A main.cf that was brought along from Postfix 2 has its defaults, as long as it says none.
        chroot = "y" if (self.value("compatibility_level") or "0").strip() == "0" else "n"
        for line in self._run("-M").splitlines():
            fields = line.split()
            key = f"{fields[0]}/{fields[1]}"
            found[key] = Service(key, " ".join(fields), options.get(key, {}), chroot)
        return found

    def lookup(self, maps: list[str], domain: str) -> str | None:
        """What these maps say of an address in the domain, as transport(5) has it; None: nothing.

        A map that cannot be asked, or is silent, is passed over: `check` finds that by other
        means. One behind proxymap is asked directly, since Postfix may not run.
        """
        for key in (f"lamson-check@{domain}", domain):
            for one in maps:
                if found := self.ask(one, key):
                    return found
        return None

    def ask(self, table: str, key: str) -> str | None:
        """What the table ``type:name`` has for the key (``postmap -q``).

        None where it has nothing, cannot be asked, or is silent.
        """
        place = ["-c", str(self._directory)] if self._directory else []
        try:
            done = subprocess.run(
                [command("postmap"), *place, "-q", key, table.removeprefix("proxy:")],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return None
        return done.stdout.strip() or None if done.returncode == 0 else None

    def set(self, values: Mapping[str, str]) -> None:
        """``postconf -e``, all at once: each call waits until main.cf is two seconds old."""
        if values:
            self._run("-e", *(f"{name} = {value}" for name, value in values.items()))

    def unset(self, names: Sequence[str]) -> None:
        """``postconf -X``."""
        if names:
            self._run("-X", *names)

    def set_service(self, key: str, entry: str) -> None:
        """``postconf -M``."""
        self._run("-M", f"{key}={entry}")

    def unset_service(self, key: str) -> None:
        """``postconf -MX``."""
        self._run("-MX", key)

    def where(self) -> Path:
        """The directory of main.cf."""
        from pathlib import Path

        return Path((self.value("config_directory") or "/etc/postfix").strip())

    def _run(self, *arguments: str) -> str:
        place = ["-c", str(self._directory)] if self._directory else []
        done = subprocess.run(
            [self._program, *place, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"status {done.returncode}"
            raise LamsonError(
                f"postconf {' '.join((*place, *arguments))}: {said}",
                exit_code=os.EX_NOPERM if "ermission denied" in said else os.EX_CONFIG,
            )
        return done.stdout


def _settings(text: str) -> dict[str, str]:
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
