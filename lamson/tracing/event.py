"""One thing that happened to a mail, wherever it is known from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """``where`` knows it: "postfix", "lamson" (our log) or "database". ``at`` is in seconds since
    the epoch, None where the line has no time; it ``is_precise`` where it has parts of a second.

    ``id`` is how that one calls the mail, ``what`` who did something or what happened, ``text`` the
    rest of the line; ``fields`` are those of it that are understood. ``leads`` are further ids of
    the same life: pairs of what was before and what came of it.
    """

    where: str
    at: float | None
    id: str
    what: str
    text: str
    fields: dict[str, str] = field(default_factory=dict)
    leads: tuple[tuple[str, str], ...] = ()
    is_precise: bool = True
    is_late: bool = False
    """What ends the work on that id, rather than beginning it."""


def shown(text: str) -> str:
    """A stranger's text in one line, without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )
