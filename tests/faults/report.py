"""The table of docs/delivery.md, made from the outcomes of a long run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.fault import (
    ANY_CONTENT,
    EARLY_DELETES,
    EARLY_REPLY,
    FORGETFUL_OUTBOX,
    FORGETFUL_STATES,
    LATE_THREADS,
    LOST_DELETES,
    MAIL_APART,
    NO_KEYS,
    NO_ORDER,
    NO_REDEMPTION,
    NO_SEEN_CHECK,
    NOTHING_KEPT,
    TOLD_AGAIN,
)
from tests.faults.timely import EARLY, LATE, UNMENDED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.faults.restarts import Restarts
    from tests.faults.run import Outcome
    from tests.faults.timely import TimeOutcome

PAGE = Path(__file__).parents[2] / "docs" / "delivery.md"

_HEAD = """\
| fault | database | survived / injected | messages | lost | duplicated | in a wrong state \
| overtaken | deliveries repeated by \
Postfix, suppressed | replies sent again |
|---|---|---|---|---|---|---|---|---|---|
"""
_WRONG_HEAD = """\
| fault | made wrong | messages | lost | duplicated | unanswered | in a wrong state | overtaken \
| else |
|---|---|---|---|---|---|---|---|---|
"""
_NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
_WEAKNESSES = {
    NO_SEEN_CHECK: "no seen check",
    EARLY_REPLY: "250 before the work",
    FORGETFUL_OUTBOX: "outbox in memory",
    NOTHING_KEPT: "refused mail thrown away",
    FORGETFUL_STATES: "states in memory",
    NO_ORDER: "no order in a conversation",
    LATE_THREADS: "threads written with the next batch",
    ANY_CONTENT: "a note for any content",
    NO_REDEMPTION: "a token counts each time",
    LOST_DELETES: "deletes of a failed transaction forgotten",
    TOLD_AGAIN: "told what became of mail each time",
    MAIL_APART: "mail in a transaction of its own",
    NO_KEYS: "keys that nobody looks at",
    EARLY_DELETES: "deleted before submission",
    EARLY: "a task deleted when it is found",
    LATE: "a task deleted after the commit of its work",
    UNMENDED: "slots not mended after the clock went back",
}
# What is counted of what runs by time, in the order of the table.
_COUNTED = ("lost", "twice", "astray", "untold", "undone", "slots_twice", "is_standing")
_TIME_COLUMNS = (
    "lost | done twice | in a wrong state | mail not once | work never done | slots twice |"
    " slots that stopped |\n|" + "---|" * 12 + "\n"
)


def table(outcomes: Iterable[Outcome]) -> str:
    """One line for each fault and database."""
    rows = [
        f"| {one.fault.title} | {_database(one)} | {one.survived} / {one.injected} "
        f"| {one.tally.messages} | {len(one.tally.lost | one.tally.unanswered)} "
        f"| {one.tally.duplicated.total()} | {len(one.tally.strayed)} "
        f"| {len(one.tally.overtaken)} | {one.suppressed} | {one.tally.resent} |\n"
        for one in outcomes
    ]
    return _HEAD + "".join(rows)


def wrong_table(outcomes: Iterable[Outcome]) -> str:
    """What the same count said of a Lamson that was made wrong."""
    rows = [
        f"| {one.fault.title} | {_WEAKNESSES[one.weakness]} | {one.tally.messages} "
        f"| {_bold(len(one.tally.lost))} | {_bold(one.tally.duplicated.total())} "
        f"| {_bold(len(one.tally.unanswered))} | {_bold(len(one.tally.strayed))} "
        f"| {_bold(len(one.tally.overtaken))} | {_else(one)} |\n"
        for one in outcomes
    ]
    return _WRONG_HEAD + "".join(rows)


def _else(one: Outcome) -> str:
    """What has no column of its own, in words."""
    tally = one.tally
    counted = {
        "rows of mail that nobody sent": len(tally.unknown),
        "replies of what was not committed": tally.strange,
        "replies that contradict each other": tally.contradictions,
        "bounces": tally.bounces,
    }
    words = [f"**{number}** {what}" for what, number in counted.items() if number]
    return ", ".join([*words, *filter(None, [one.complaint])])


def time_table(outcomes: Iterable[TimeOutcome]) -> str:
    """What the count of timers, slots and work said: of Lamson, and of one made wrong."""
    rows = [
        f"| {one.fault.title} | {_database(one)} | {_WEAKNESSES.get(one.weakness, '')} "
        f"| {one.survived} / {one.injected} | {one.timers} | "
        + " | ".join(_bold(one.found[name]) for name in _COUNTED)
        + " |\n"
        for one in outcomes
    ]
    head = "| fault | database | made wrong | survived / injected | timers | "
    return head + _TIME_COLUMNS + "".join(rows)


def restarts(measured: Restarts) -> str:
    return (
        f"{measured.kills} workers killed under load, {measured.connections} connections made "
        f"meanwhile, **{measured.refused} refused**. From a kill to the first greeting of the new "
        f"worker: median {measured.median:.2f} s, longest {measured.longest:.2f} s.\n"
    )


def write(parts: Mapping[str, str]) -> None:
    """Put each text between ``<!-- name: begin -->`` and ``<!-- name: end -->``."""
    page = PAGE.read_text(encoding="utf-8")
    for name, text in parts.items():
        pattern = f"(?<=<!-- {name}: begin -->\n).*?(?=<!-- {name}: end -->)"
        found = re.search(pattern, page, re.DOTALL)
        assert found, f"{PAGE}: no place for {name}"
        page = page[: found.start()] + text + page[found.end() :]
    PAGE.write_text(page, encoding="utf-8")


def _database(one: Outcome | TimeOutcome) -> str:
    name = _NAMES[one.kind]
    return (
        f"{name}, {one.fault.nodes} nodes" if one.kind != "sqlite" and one.fault.nodes > 1 else name
    )


def _bold(number: int) -> str:
    return f"**{number}**" if number else "0"
