"""One parameter of Postfix as a project wants it, and how Postfix writes numbers and times.

For `lamson.postfix.wanted` and `lamson.postfix.transport`, which say what is wanted. A value that
is no number or time where Postfix has one is never as wanted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Rewritten(Protocol):
    """A list as it should be."""

    @property
    def items(self) -> Sequence[str]: ...

    @property
    def files(self) -> Mapping[Path, str]: ...


@dataclass(frozen=True, slots=True)
class Want:
    """One parameter. Where it ``is_list``, the value has to be among others, else alone.

    ``answers`` are what the maps it names have to answer, by domain; where they do it is well,
    whatever the value. ``otherwise`` names the parameter that counts where they answer nothing, or
    where there is none of this name yet.
    ``has_domains``: it is a list of domains, which may be brought by a table, a file or a parent.
    ``will_do`` tells of another value (effective, ``$`` expanded) whether it is as good; where it
    ``is_list``, of an item of it. ``rewrite`` gives for the items of a list those that there should
    be, and the files that these name; it decides alone.
    """

    name: str
    value: str
    why: str
    is_list: bool = False
    answers: tuple[tuple[str, str], ...] = ()
    otherwise: str | None = None
    has_domains: bool = False
    will_do: Callable[[str], bool] | None = None
    rewrite: Callable[[Sequence[str]], Rewritten] | None = None

    def is_met_by(self, effective: str) -> bool:
        """The one value will do. What Postfix itself could not read never does."""
        try:
            will_do = self.will_do is not None and self.will_do(effective)
        except LamsonError:
            will_do = False
        return will_do or effective == self.value


def number(value: str) -> int:
    """Raises LamsonError for what is none."""
    if not value.isdigit():
        raise LamsonError(f"{value!r} is no number")
    return int(value)


def seconds(value: str) -> float:
    """A time as Postfix writes it, such as ``600s``. Raises LamsonError."""
    found = re.fullmatch(r"(\d+)([smhdw]?)", value)
    if found is None:
        raise LamsonError(f"{value!r} is no time that Postfix knows")
    return int(found[1]) * _SECONDS[found[2] or "s"]
