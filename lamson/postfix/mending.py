"""The commands that mend a Postfix, as findings give them to a person: one sentence for each kind.

Nothing else in the doctor writes such a command. They change what is wrong and nothing else, and
end with what makes Postfix see it: a reload, or a restart where that is not enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.postfix.configuration import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MADE = ("hash", "lmdb", "btree", "cdb", "dbm", "sdbm")
"""Kinds of tables that postmap(1) makes of a text file."""
_SOURCES = ("texthash", *MADE)


@dataclass(frozen=True, slots=True)
class Mending:
    """Of the configuration that ``option`` names to Postfix's commands: ``-c DIR ``, or nothing."""

    option: str = ""

    @property
    def reload(self) -> str:
        """Has Postfix read its configuration again."""
        return f"postfix {self.option}reload"

    def set(self, name: str, value: str) -> str:
        """Gives a parameter of main.cf this value."""
        return self._reloading(self._setting(name, value))

    def set_and_restart(self, name: str, value: str) -> str:
        """The same, where a reload is not enough."""
        command = self._setting(name, value)
        return f"{command} && postfix {self.option}stop && postfix {self.option}start"

    def set_anywhere(self, name: str, value: str) -> str:
        """The command alone, for a Postfix that need not be this one."""
        return f"postconf -e '{name} = {value}'"

    def leave_out(self, name: str, listed: Iterable[str], item: str) -> str:
        """Gives a parameter the list without this item."""
        return self.set(name, ", ".join(one for one in listed if one != item))

    def without(self, name: str, value: str, word: str, key: str) -> str:
        """Takes the key (a domain), which ``word`` of the list brings, out of the list: out of the
        file or table where it is one that can be edited."""
        place = word.removeprefix("proxy:")
        kind, _, path = place.rpartition(":")
        line = key.replace(".", r"\.")
        if word.startswith("/"):
            edit = rf"sed -i -E 's/(^|[[:space:],]){line}([[:space:],]|$)/\1\2/I' {word}"
            return self._reloading(edit)
        if kind in _SOURCES:
            made = "" if kind == "texthash" else f" && postmap {self.option}{place}"
            return self._reloading(rf"sed -i -E '/^{line}([[:space:]]|$)/Id' {path}{made}")
        return self.leave_out(name, words(value), word)

    def override(self, key: str, setting: str) -> str:
        """Gives a service of master.cf a value of its own: ``name=value``."""
        return self._reloading(f"postconf {self.option}-P '{key}/{setting}'")

    def no_override(self, key: str, *names: str) -> str:
        """Takes values of its own from a service."""
        listed = " ".join(f"{key}/{name}" for name in names)
        return self._reloading(f"postconf {self.option}-PX {listed}")

    def set_service(self, key: str, entry: str) -> str:
        """Writes an entry of master.cf."""
        return self._reloading(f"postconf {self.option}-M '{key}={entry}'")

    def no_chroot(self, key: str) -> str:
        """Has a service see the whole of the file system."""
        return self._reloading(f"postconf {self.option}-F {key}/chroot=n")

    def apply(self) -> str:
        """Has `lamson postfix apply` do it, with the same configuration."""
        return self._reloading(" ".join(("lamson postfix apply", *self._place)))

    def postmap(self, table: str) -> str:
        """Makes a table of its text file."""
        return self._reloading(f"postmap {self.option}{table}")

    def maps(self, arguments: Sequence[str] = ()) -> str:
        """Makes the tables anew, there or as the arguments say."""
        return self._reloading(" ".join(("lamson postfix maps", *(arguments or self._place))))

    @property
    def _place(self) -> tuple[str, ...]:
        return (self.option.replace("-c ", "-config ", 1).rstrip(),) if self.option else ()

    def _setting(self, name: str, value: str) -> str:
        return f"postconf {self.option}-e '{name} = {value}'"

    def _reloading(self, command: str) -> str:
        return f"{command} && {self.reload}"
