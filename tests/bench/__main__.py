"""The command line of the benchmark: `python -m tests.bench --help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from subprocess import SubprocessError

from tests.bench import peers, plot
from tests.bench.comparison import Effort
from tests.bench.load import LOADS
from tests.bench.report import Section
from tests.bench.sections import SECTIONS


def main() -> int:
    """Measure, print, and return 0.

    1 where something failed, or where a goal was not reached and ``--strict`` was given.
    """
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and clean up
    if not options.quick:
        peers.install_salmon()
    usual = Effort(rounds=3, seconds=0.4) if options.quick else Effort()
    effort = Effort(
        options.rounds or usual.rounds,
        options.seconds or usual.seconds,
        tuple(options.without or ()),
    )
    loads = [LOADS[name] for name in options.load or LOADS]
    machine = _machine()
    print(machine + "\n")
    report: list[Section] = []
    is_whole = True
    for name in options.only or SECTIONS:
        try:
            for section in SECTIONS[name](loads, effort):
                _tell(section, name, report)
        except (AssertionError, OSError, RuntimeError, SubprocessError) as error:
            # What was measured already, and what can be yet, is worth more than an early end.
            _tell(Section(f"Failed: {name}", remarks=[str(error)]), name, report)
            is_whole = False
    whole = {"machine": machine, "sections": [section.as_json() for section in report]}
    if options.json:
        options.json.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    if options.plot:
        plot.draw(whole, options.plot)
    missed = [goal for section in report for goal in section.goals if not goal.reached]
    return 1 if not is_whole or (options.strict and missed) else 0


def _tell(section: Section, name: str, report: list[Section]) -> None:
    section.part = name
    report.append(section)
    print(section.as_text(), flush=True)


def _machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} "
        f"{platform.release()}; load average before: {load:.2f}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure Lamson beside what a user would pick instead, in one interleaved run.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few and short rounds; install nothing"
    )
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--seconds", type=float, metavar="S", help="of one run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there as well")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the rates there (.svg or .png)"
    )
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, help="this section; may be repeated"
    )
    parser.add_argument(
        "--load",
        action="append",
        choices=LOADS,
        help="this load alone; may be repeated",
    )
    parser.add_argument(
        "--without", action="append", metavar="PEER", help="leave this peer out; may be repeated"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is missed")
    options = parser.parse_args()
    if options.plot and find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib (pip install '.[bench]')")
    return options


if __name__ == "__main__":
    sys.exit(main())
