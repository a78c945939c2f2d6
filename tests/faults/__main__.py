"""The long run, `make faults`: every fault many times, then the table in docs/delivery.md.

    python -m tests.faults [--messages 1000] [--injections 20] [--kills 1000] [--lanes 1]
        [--only NAME ...] [--no-page]

Ends with status 1 when anything was lost or happened twice, or when a Lamson that was made wrong
passed. With ``--only`` and ``--no-page`` the page is left as it is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from lamson import failpoint
from tests import postgres
from tests.faults import catalogue, list_rig, report, restarts, timely
from tests.faults.rig import Impossible
from tests.faults.run import Outcome, Plan, run, run_wrong
from tests.postfix import instance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.fault import Fault, Kind
    from tests.faults.timely import TimeFault, TimeOutcome

MOST_TIMERS = 200  # of one run of what goes by time
ROUNDS = 5  # strikes for one of those

KINDS: tuple[Kind, ...] = ("sqlite", "postgres")

# What ran, with its weakness, and the faults under which something never came to rest.
Lane = tuple[list[tuple[Outcome, str]], list[str]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--injections", type=int, default=20)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--lanes", type=int, default=1, help="for each database")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--no-page", action="store_true")
    options = parser.parse_args()
    if reason := instance.why_not() or postgres.why_not():
        print(reason, file=sys.stderr)
        return 1
    faults = [one for one in catalogue.FAULTS if not options.only or one.name in options.only]
    plan = Plan(options.messages, options.injections)
    began = time.monotonic()
    # Most of the time is waiting for Postfix to try again.
    shares = [faults[at :: options.lanes] for at in range(options.lanes)]
    with ThreadPoolExecutor(2 * options.lanes) as pool:
        lanes = [pool.submit(_run_lane, kind, share, plan) for kind in KINDS for share in shares]
        outcomes = [one for lane in lanes for one in lane.result()[0]]
        failures = [name for lane in lanes for name in lane.result()[1]]
    right = _sorted(one for one, weakness in outcomes if not weakness)
    wrong = _sorted(one for one, weakness in outcomes if weakness)
    parts = {"table": report.table(right), "wrong": report.wrong_table(wrong)}
    timed = [one for one in timely.FAULTS if not options.only or one.name in options.only]
    in_time, late = _run_timed(timed, plan)
    failures += late
    parts["time"] = report.time_table(in_time)
    is_proven = not failures and all(one.is_clean for one in right)
    is_proven &= not any(one.is_clean for one in wrong)
    is_proven &= all(one.is_noticed if one.weakness else one.is_clean for one in in_time)
    if options.kills:
        with tempfile.TemporaryDirectory() as directory:
            measured = restarts.measure(options.kills, Path(directory))
        parts["restarts"] = report.restarts(measured)
        is_proven &= measured.refused == 0
    if not options.only:
        is_proven &= _lists_are_proven()
    print(f"\n{time.monotonic() - began:.0f} s\n")
    print("\n".join(parts.values()))
    if is_proven and not (options.only or options.no_page):
        report.write(parts)
    return 0 if is_proven else 1


def _lists_are_proven() -> bool:
    """A post to 10,000 members whose workers die ten times, before and after a commit."""
    is_proven = True
    for point in (failpoint.AFTER_TAKE, failpoint.BEFORE_COMMIT, failpoint.AFTER_COMMIT):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
            rig = list_rig.ListRig(
                Path(directory), None, members=10_000, piece=500, failpoint=point
            )
            count = list_rig.run(rig, 10)
        missed, twice = len(count.missed), len(count.twice)
        print(f"list, {point}: {count.kills} kills, {missed} missed, {twice} twice", flush=True)
        is_proven &= count.is_clean
    return is_proven


def _run_lane(kind: Kind, faults: Iterable[Fault], plan: Plan) -> Lane:
    """Everything on one database, one after the other."""
    if kind == "sqlite":
        return _run_all(kind, faults, plan, None)
    with postgres.PostgresInstance() as server:
        return _run_all(kind, faults, plan, server)


def _run_all(
    kind: Kind, faults: Iterable[Fault], plan: Plan, server: postgres.PostgresInstance | None
) -> Lane:
    outcomes = []
    failures: list[str] = []
    for fault in faults:
        if kind not in fault.databases:
            continue
        weaknesses = ["", *fault.weaknesses] if kind == fault.databases[0] else [""]
        for weakness in weaknesses:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
                try:
                    if weakness:
                        outcome = run_wrong(fault, weakness, Path(directory), server)
                    else:
                        outcome = run(fault, plan, Path(directory), server)
                except Impossible as error:
                    print(f"{fault.name} on {kind}: left out: {error}", flush=True)
                    continue
                except (AssertionError, OSError) as error:  # the other faults still count
                    print(f"{fault.name} on {kind} {weakness}: FAILED: {error}", flush=True)
                    failures.append(fault.name)
                    continue
            outcomes.append((outcome, weakness))
            print(outcome, weakness and f"({weakness})", flush=True)
    return outcomes, failures


def _run_timed(faults: Iterable[TimeFault], plan: Plan) -> tuple[list[TimeOutcome], list[str]]:
    """Those of what runs by time, one after the other: they wait for a second to come."""
    timers, rounds = min(plan.messages, MOST_TIMERS), max(1, plan.injections // ROUNDS)
    outcomes: list[TimeOutcome] = []
    failures: list[str] = []
    with postgres.PostgresInstance() as instance:
        for fault in faults:
            for kind in fault.databases:
                server = None if kind == "sqlite" else instance
                is_shown = fault.weakness and kind == fault.databases[0]
                for wrong in (False, True) if is_shown else (False,):
                    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
                        try:
                            outcome = (
                                timely.run_wrong(fault, Path(directory), server)
                                if wrong
                                else timely.run(
                                    fault, Path(directory), server, timers=timers, rounds=rounds
                                )
                            )
                        except (AssertionError, OSError) as error:
                            print(f"{fault.name} on {kind}: FAILED: {error}", flush=True)
                            failures.append(fault.name)
                            continue
                    outcomes.append(outcome)
                    print(outcome, outcome.weakness and f"({outcome.weakness})", flush=True)
    return sorted(outcomes, key=lambda one: bool(one.weakness)), failures


def _sorted(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """In the order of the catalogue, SQLite first."""
    order = [fault.name for fault in catalogue.FAULTS]
    return sorted(outcomes, key=lambda one: (order.index(one.fault.name), one.kind != "sqlite"))


if __name__ == "__main__":
    sys.exit(main())
