"""The commands that mend a Postfix, as findings give them to a person: one sentence for each kind.

Nothing else in the doctor writes such a command. They change what is wrong and nothing else, and
end with what makes Postfix see it: a reload, or a restart where that is not enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MADE = ("hash", "lmdb", "btree", "cdb", "dbm", "sdbm")
"""Kinds of tables that postmap(1) makes of a text file."""
_SOURCES = ("texthash", *MADE)
# Of sed(1). What goes on in the lines after it, by white space, goes with it: else it would be
# added to the entry before. Comments and blank lines may stand between, and stay.
_ENTRY_TAKEN_OUT = (
    r":a;/^KEY([[:space:]]|$)/I{:b;$d;N;s/^.*\n//;/^[[:space:]]*(#|$)/{p;bb;};/^[[:space:]]/bb;ba;}"
)


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
        return self._restarting(self._setting(name, value))

    def leave_out(self, name: str, listed: Iterable[str], item: str) -> str:
        """Gives a parameter the list without this item."""
        return self.set(name, ", ".join(one for one in listed if one != item))

    def without_key(self, name: str, word: str, key: str) -> str:
        """Takes the key (a domain, or all of it) out of the file or table ``word`` that the list
        has. Whose patterns or rows bring it is for a person: they may bring others as well."""
        place = word.removeprefix("proxy:")
        kind, _, path = place.rpartition(":")
        line = key.replace(".", r"\.")
        if word.startswith("/"):
            edit = rf"s/(^|[[:space:],]){line}([[:space:],]|$)/\1\2/I"
            return self._reloading(f"sed -i -E {_quoted(edit)} {quote(word)}")
        if kind in _SOURCES:
            made = "" if kind == "texthash" else f" && postmap {self.option}{quote(place)}"
            edit = _ENTRY_TAKEN_OUT.replace("KEY", line)
            return self._reloading(f"sed -i -E {_quoted(edit)} {quote(path)}{made}")
        return f"by hand: take {key} out of {word}, which {name} names, and leave what others have"

    def override(self, key: str, setting: str) -> str:
        """Gives a service of master.cf a value of its own: ``name=value``."""
        return self._reloading(f"postconf {self.option}-P {_quoted(f'{key}/{setting}')}")

    def no_override(self, key: str, *names: str) -> str:
        """Takes values of its own from a service."""
        listed = " ".join(f"{key}/{name}" for name in names)
        return self._reloading(f"postconf {self.option}-PX {listed}")

    def set_service(self, key: str, entry: str) -> str:
        """Writes an entry of master.cf."""
        return self._reloading(f"postconf {self.option}-M {_quoted(f'{key}={entry}')}")

    def no_chroot(self, key: str) -> str:
        """Has a service see the whole of the file system."""
        return self._reloading(f"postconf {self.option}-F {key}/chroot=n")

    def set_private(self, key: str, value: str) -> str:
        """Has the socket of a service lie in the directory where the others look for it."""
        return self._restarting(f"postconf {self.option}-F {key}/private={value}")

    def apply(self) -> str:
        """Has `lamson postfix apply` do it, with the same configuration."""
        return self._reloading(" ".join(("lamson postfix apply", *self._place)))

    def postmap(self, table: str) -> str:
        """Makes a table of its text file."""
        return self._reloading(f"postmap {self.option}{quote(table.removeprefix('proxy:'))}")

    def postalias(self, table: str) -> str:
        """The same of aliases(5), whose text is another one."""
        return self._reloading(f"postalias {self.option}{quote(table.removeprefix('proxy:'))}")

    def maps(self, arguments: Sequence[str] = ()) -> str:
        """Makes the tables anew, there or as the arguments say."""
        return self._reloading(" ".join(("lamson postfix maps", *(arguments or self._place))))

    @property
    def _place(self) -> tuple[str, ...]:
        return (self.option.replace("-c ", "-config ", 1).rstrip(),) if self.option else ()

    def _setting(self, name: str, value: str) -> str:
        return f"postconf {self.option}-e {_quoted(f'{name} = {value}')}"

    def _restarting(self, command: str) -> str:
        return f"{command} && postfix {self.option}stop && postfix {self.option}start"

    def _reloading(self, command: str) -> str:
        return f"{command} && {self.reload}"


def _quoted(text: str) -> str:
    """For a shell, between quotes also where it need not be."""
    return quote(text) if "'" in text else f"'{text}'"
