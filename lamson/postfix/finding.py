"""Findings: what the doctor saw that is not as it should be, for people and for monitoring.

And what it could not look at, which is said beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

NOBODY = "lamson-check-nobody-has-this-address"  # a local part to ask for unknown recipients with


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    ``code`` is a fixed name for it, ``problem`` what is wrong, ``why`` what comes of it, ``fix``
    the command, or the change of a setting, that mends it.
    """

    code: str
    problem: str
    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.code}: {self.problem}; {self.why}. Mend it: {self.fix}"


@dataclass(frozen=True, slots=True)
class Untried:
    """Something that could not be tried from here: what, and why."""

    text: str

    def __str__(self) -> str:
        return self.text
