"""All faults, and how many of them the doctor names: ``python -m tests.postfix.faults.catalogue``.

Prints named, missed and false, a line for each fault that is not named or named with others.
"""

from __future__ import annotations

import sys
from collections import Counter

from tests.postfix.faults import (
    access,
    content,
    limits,
    milters,
    network,
    next_hop,
    outgoing,
    processes,
    recipients,
    rewriting,
    routing,
    submission,
    tables,
)
from tests.postfix.faults.bases import Base
from tests.postfix.faults.fault import CONFIGURATION, Fault

TOPICS = (
    routing, recipients, access, rewriting, content, milters, limits, processes, network, next_hop,
    submission, outgoing, tables,
)  # fmt: skip
FAULTS: tuple[Fault, ...] = tuple(fault for topic in TOPICS for fault in topic.FAULTS)
READ = tuple(one for one in FAULTS if one.found_by == CONFIGURATION)
"""Those that reading the configuration finds."""


def tried(base: Base, fault: Fault) -> set[str]:
    """The codes of what the doctor says of it; everything is put back."""
    base.break_(fault)
    try:
        return {finding.code for finding in base.findings()}
    finally:
        base.mend()


def main() -> int:
    """The tally, on standard output."""
    bases: dict[str, Base] = {}
    tally: Counter[str] = Counter()
    for fault in READ:
        base = bases.get(fault.base) or bases.setdefault(fault.base, Base(fault.base))
        codes, named = tried(base, fault), set(fault.named)
        outcome = "named" if named <= codes else "missed"
        tally[outcome] += 1
        tally["false"] += bool(codes - named)
        if codes != named:
            print(f"{outcome}: {fault}: {sorted(named)}, not {sorted(codes)}")
    for base in bases.values():
        base.close()
    others = len(FAULTS) - len(READ)
    print(
        f"{len(FAULTS)} faults: {tally['named']} named by the configuration, {tally['missed']}"
        f" missed, {tally['false']} with a false one besides; {others} are for the probes"
    )
    return 1 if tally["missed"] or tally["false"] else 0


if __name__ == "__main__":
    sys.exit(main())
