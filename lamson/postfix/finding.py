"""Findings: what the doctor saw that is not as it should be, for people and for monitoring.

And what it could not look at, which is a finding of its own kind: nobody is told that all is well
where nobody has looked.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

NOBODY = "lamson-check-nobody-has-this-address"  # a local part to ask for unknown recipients with


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    ``code`` is a fixed name for it, ``problem`` what is wrong, ``why`` what comes of it, ``fix``
    the command, or the change of a setting, that mends it.
    """

    kind: ClassVar[str] = "wrong"

    code: str
    problem: str
    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.code}: {self.problem}; {self.why}. Mend it: {self.fix}"


@dataclass(frozen=True, slots=True)
class Untried:
    """Something that could not be tried from here: what, and why.

    ``fix`` is how it could be tried, where that is known.
    """

    kind: ClassVar[str] = "untried"

    code: str
    problem: str
    why: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.problem} could not be tried from here: {self.why}"


OFFLINE = Untried("untried-services", "whether the services answer", "-offline was given")


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is well as it is, and worth being known."""

    kind: ClassVar[str] = "remark"

    code: str
    problem: str
    why: str = ""
    fix: str = ""

    def __str__(self) -> str:
        return self.problem


def as_values(seen: Iterable[Finding | Untried | Remark]) -> list[dict[str, str]]:
    """For JSON: the same keys for each kind, so that a program can tell them by ``kind``."""
    return [{**asdict(one), "kind": one.kind} for one in seen]
