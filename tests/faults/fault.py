"""What a fault is, for the table of them: how it strikes, and what may follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.rig import Rig

Kind = Literal["sqlite", "postgres"]

SQLITE: tuple[Kind, ...] = ("sqlite",)
POSTGRES: tuple[Kind, ...] = ("postgres",)
BOTH: tuple[Kind, ...] = ("sqlite", "postgres")

# Ways to make Lamson wrong, each of which the checker has to notice: the mistakes of
# project/app/sabotage.py.
NO_SEEN_CHECK = "no-seen-check"
EARLY_REPLY = "early-reply"
FORGETFUL_OUTBOX = "forgetful-outbox"
NOTHING_KEPT = "nothing-kept"
LOST_DELETES = "lost-deletes"
FORGETFUL_STATES = "forgetful-states"
NO_ORDER = "no-order"
ANY_CONTENT = "any-content"
NO_REDEMPTION = "no-redemption"
TOLD_AGAIN = "told-again"
LATE_THREADS = "late-threads"
MAIL_APART = "mail-apart"
NO_KEYS = "no-keys"
EARLY_DELETES = "early-deletes"


def nothing(rig: Rig) -> None:
    """Where a fault needs no preparation."""


def no_complaint(rig: Rig) -> str:
    """Where nothing else is to be looked at."""
    return ""


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    ``inject`` strikes once, under load, and returns when it has struck and is over. ``prepare``
    changes a rig that is not started yet. On the databases ``long_on`` it strikes in the long run
    alone, since it is slow: it waits for the outbox to try again, or starts much anew. ``check``
    looks at what else must be true in the end, and says what is not.
    ``weakness`` is what makes Lamson wrong under this fault: leaving out the seen check wherever
    Postfix delivers again what was committed; where that cannot be (``why_not_twice``), a mistake.
    ``also`` are more mistakes to be noticed under it. Where it ``keeps`` mail in run/undeliverable,
    that is right; under any other nothing may be there. ``nodes`` is how many services there are on
    PostgreSQL: Postfix gives half of the load to each, and goes over to the other where one fails.
    """

    name: str
    title: str
    inject: Callable[[Rig], None]
    databases: tuple[Kind, ...] = BOTH
    long_on: tuple[Kind, ...] = ()
    prepare: Callable[[Rig], None] = nothing
    check: Callable[[Rig], str] = no_complaint
    weakness: str = NO_SEEN_CHECK
    why_not_twice: str = ""
    also: tuple[str, ...] = ()
    keeps: bool = False
    nodes: int = 1

    @property
    def weaknesses(self) -> tuple[str, ...]:
        return (self.weakness, *self.also)
