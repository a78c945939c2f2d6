"""Faults that strike mail from elsewhere: a web process dies round its commit, or the service does.

Orders are committed beside the load, each in one transaction with its mail; some mails are to leave
a second later. Who orders tries again where the process died, with the same key.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from tests.faults.fault import (
    EARLY_DELETES,
    MAIL_APART,
    NO_KEYS,
    Fault,
)
from tests.faults.kills import start_again

if TYPE_CHECKING:
    from tests.faults.rig import Rig

ORDERS = 9  # at a strike
BEFORE_COMMIT, AFTER_COMMIT = "before-commit", "after-commit"


def _order(rig: Rig, first: int, place: str = "") -> int:
    """Have a web process order, and die at ``place``; gives its status."""
    node = rig.turn
    return subprocess.run(
        [sys.executable, "-m", "app.web", str(first), str(ORDERS), *([place] if place else [])],
        cwd=node.project,
        env={**os.environ, **node.environment},
        check=False,
    ).returncode


def _killed(place: str, rig: Rig) -> None:
    first = _expect(rig)
    assert _order(rig, first, place) == -signal.SIGKILL
    assert _order(rig, first) == 0  # who ordered tries again


def _service_killed(rig: Rig) -> None:
    first = _expect(rig)
    assert _order(rig, first) == 0
    workers = rig.workers(rig.turn)
    rig.turn.kill()
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    start_again(rig)


def _expect(rig: Rig) -> int:
    """The number of the first of so many orders more."""
    first = len(rig.forged)
    rig.forged += [
        (f"order-{number:06d}", f"shop-{number}@count.test")
        for number in range(first, first + ORDERS)
    ]
    return first


FAULTS = [
    Fault(
        name="web-killed-before-commit",
        title="`kill -9` of a web process before its COMMIT, then the same orders again",
        inject=partial(_killed, BEFORE_COMMIT),
        weakness=MAIL_APART,
        why_not_twice="its mail must not be there",
        nodes=2,
        long_on=("postgres",),
    ),
    Fault(
        name="web-killed-after-commit",
        title="`kill -9` of a web process after its COMMIT, then the same orders again",
        inject=partial(_killed, AFTER_COMMIT),
        weakness=NO_KEYS,
        why_not_twice="its mail is sent a second time, not its order",
        nodes=2,
    ),
    Fault(
        name="service-killed-with-orders",
        title="`kill -9` of the service while it has a web process's mail, then a new start",
        inject=_service_killed,
        weakness=EARLY_DELETES,
        why_not_twice="nobody but the service has its mail",
        nodes=2,
        long_on=("sqlite", "postgres"),
    ),
]
