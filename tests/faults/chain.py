"""The rows of a run as a chain: what state they come to, and in which order their replies left.

The handler moves each author on by one step with each row, and all that is sent to one author is
one conversation. His deliveries take turns, as each locks his state; so his rows are in order, and
his replies have to leave in theirs, whichever worker or node made them and whatever failed: a
later row of a conversation waits for an earlier one. How they arrive says nothing about that, as
Postfix delivers over several connections. It stamps a reply with the time when it took it, though:
in the long queue id of the Received field that is its first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from lamson.smtp.envelope import QueueId

if TYPE_CHECKING:
    from collections.abc import Iterable

_TAKEN_AS = re.compile(r"\bid (\w+)")


class Row(NamedTuple):
    """What one run of the handler left. ``token`` is what it made up, and its reply tells."""

    message: str
    recipient: str
    token: str
    author: str
    step: int


def state(steps: int) -> str:
    """The state of an author ``steps`` of whose deliveries were handled."""
    return f"STEP_{steps}" if steps else "START"


def strayed(rows: Iterable[Row], states: Iterable[tuple[str, str]]) -> set[str]:
    """The authors whose rows are not one at each step, or whose state is not where they lead."""
    steps: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        steps[row.author].append(row.step)
    stands = list(states)
    expected = {author: state(len(taken)) for author, taken in steps.items()}
    torn = {author for author, taken in steps.items() if sorted(taken) != [*range(len(taken))]}
    return torn | {author for author, _ in set(stands) ^ set(expected.items())}


def overtaken(rows: Iterable[Row], taken_at: dict[str, int]) -> set[Row]:
    """The rows whose reply Postfix took for the first time after that of a later row.

    ``rows`` are in order; ``taken_at`` is when, by token.
    """
    behind: dict[str, int] = {}
    found = set()
    for row in reversed([row for row in rows if row.token in taken_at]):
        at = taken_at[row.token]
        first = behind.setdefault(row.author, at)
        if at > first:
            found.add(row)
        behind[row.author] = min(at, first)
    return found


def taken_at(received: list[str]) -> int:
    """When Postfix took a message from us first: microseconds, by the last of its Received fields.

    Those above it are of `postsuper -r`.
    """
    found = _TAKEN_AS.search(received[-1]) if received else None
    assert found, f"no queue id in {received}"
    return QueueId(found[1]).microseconds
