"""Runs one fault against a fresh rig: rounds of load, one injection in each, then the count."""

from __future__ import annotations

import random
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults import load
from tests.faults.rig import Rig
from tests.faults.tally import Tally, count

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.fault import Fault
    from tests.postgres import PostgresInstance


SETTLES = 600.0  # seconds in which everything has to come to rest, on a busy machine too
HELD_BACK = 5  # messages of a round that a fault may want to meet once it is in place
WRONG_SETTLES = 20.0  # the same, where Lamson was made wrong: perhaps it never does


@dataclass(frozen=True)
class Plan:
    """How much: messages in all, and how often the fault strikes meanwhile."""

    messages: int
    injections: int


WRONG = Plan(messages=60, injections=2)
ATTEMPTS = 5


@dataclass(frozen=True)
class Outcome:
    """What came of one run. ``suppressed`` are deliveries that came again and ran no handler."""

    fault: Fault
    kind: str
    tally: Tally
    complaint: str  # of the fault's own check
    injected: int
    survived: int
    suppressed: int
    seconds: float
    weakness: str = ""

    @property
    def is_clean(self) -> bool:
        return self.tally.is_clean and not self.complaint

    def __str__(self) -> str:
        return (
            f"{self.fault.name} on {self.kind}: {self.tally}, {self.survived} of {self.injected} "
            f"survived, {self.suppressed} suppressed, {self.seconds:.0f} s {self.complaint}"
        )


def run(
    fault: Fault,
    plan: Plan,
    directory: Path,
    server: PostgresInstance | None,
    weakness: str = "",
) -> Outcome:
    """Strike ``plan.injections`` times while ``plan.messages`` go through; see what came out."""
    began = time.monotonic()
    chance = random.Random(fault.name)
    rounds: list[set[str]] = []
    with Rig(fault, directory, server, weakness) as rig:
        try:
            for number in range(plan.injections):
                first = rig.load.asked
                share = plan.messages * (number + 1) // plan.injections
                share -= plan.messages * number // plan.injections
                rig.held_back = min(HELD_BACK, share // 2)
                rig.load.begin(share - rig.held_back)
                rig.load.wait(first + chance.randrange(1, max(2, share // 2)))
                with _excused(weakness), rig.load.kept_up():
                    fault.inject(rig)
                    rig.injected += 1
                rig.send_held_back()
                rounds.append({load.name(one) for one in range(first, rig.load.asked)})
            with _excused(weakness):
                rig.settle(WRONG_SETTLES if weakness else SETTLES)
        except AssertionError:
            print(rig.postfix.log_text()[-20_000:])
            for node in rig.nodes:
                print("\n".join(node.log_lines()[-200:]))
                print(node.output()[-5000:])
            raise
        tally = count(
            rig.load.accepted,
            rig.store.effects(),
            rig.store.states(),
            list(rig.sink.messages),
            rig.forged,
            is_tracked=rig.is_tracked,
        )
        complaint = fault.check(rig)
        if not fault.keeps and (kept := rig.undeliverable()):
            complaint += f"{kept} messages kept as undeliverable"
        suppressed = len(rig.log_lines(" duplicate id="))
    broken = tally.broken()
    return Outcome(
        fault=fault,
        kind="sqlite" if server is None else "postgres",
        tally=tally,
        complaint=complaint,
        injected=rig.injected,
        weakness=weakness,
        survived=sum(not (broken & messages) for messages in rounds),
        suppressed=suppressed,
        seconds=time.monotonic() - began,
    )


def _excused(weakness: str) -> AbstractContextManager[None]:
    """A Lamson that is wrong may do without what a fault or the end waits for: it is counted."""
    return suppress(AssertionError) if weakness else nullcontext()


def run_wrong(
    fault: Fault, weakness: str, directory: Path, server: PostgresInstance | None
) -> Outcome:
    """Strike a Lamson that is made wrong, a few times if need be, until the count notices it.

    Whether a repetition does harm may be a matter of chance: what the worker had committed just
    when it was killed.
    """
    for attempt in range(ATTEMPTS):
        place = directory / str(attempt)
        place.mkdir()
        outcome = run(fault, WRONG, place, server, weakness)
        if not outcome.is_clean and (fault.why_not_twice or outcome.tally.duplicated):
            break
    return outcome
