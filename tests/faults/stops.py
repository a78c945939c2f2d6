"""Faults that stop processes of Lamson without ending them: SIGSTOP, as a machine without memory
or a debugger does it.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.faults.fault import EARLY_REPLY, Fault
from tests.faults.restarts import greeted
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.faults.rig import Rig

DEADLINE = 2.0  # seconds that a worker may stand still
LONG = 30.0  # where it is to go on in time
TIMEOUT = 1  # seconds that Postfix waits for a reply
SLOW = 1.0  # seconds of a handler: it is under way when its worker is stopped


def _watch(rig: Rig) -> None:
    rig.environment["LAMSON_HANDLER_DEADLINE"] = str(DEADLINE)


def _stop_one(rig: Rig) -> None:
    """The heartbeat has to end it, and what it had under way comes again.

    It is the oldest one: before its first beat a worker may take longer.
    """
    node = rig.turn
    worker = wait_for(lambda: rig.workers(node), "a worker", timeout=rig.patience)[0]
    os.kill(worker, signal.SIGSTOP)
    wait_for(
        lambda: worker not in rig.workers(node),
        "a worker that stands still to be ended",
        timeout=rig.patience,
    )
    wait_for(lambda: greeted(node.port), "another one in its place", timeout=rig.patience)


def _be_impatient(rig: Rig) -> None:
    rig.environment["LAMSON_HANDLER_DEADLINE"] = str(LONG)
    rig.main["lmtp_data_done_timeout"] = f"{TIMEOUT}s"
    tokens = rig.project.parent / "slow"
    tokens.mkdir()
    rig.environment["FAULTS_SLOW"] = str(tokens)
    rig.environment["FAULTS_SLOW_SECONDS"] = str(SLOW)


def _pause(rig: Rig) -> None:
    """All stop while a handler is under way, until Postfix has given up; then they go on."""
    before = len(rig.postfix.log_lines("timed out while"))
    token = rig.project.parent / "slow" / "one"
    token.touch()
    wait_for(lambda: not token.exists(), "a handler to be slow", timeout=rig.patience)
    workers = [worker for node in rig.nodes for worker in rig.workers(node)]
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        rig.postfix.wait_log("timed out while", count=before + 1, timeout=LONG / 2)
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)


FAULTS = [
    Fault(
        name="stopped",
        title="SIGSTOP of a worker, for good",
        prepare=_watch,
        inject=_stop_one,
        weakness=EARLY_REPLY,
        why_not_twice="it strikes anywhere, rarely between COMMIT and reply",
        nodes=2,
    ),
    Fault(
        name="paused",
        title="SIGSTOP of all workers, and SIGCONT when Postfix has given up",
        prepare=_be_impatient,
        inject=_pause,
        nodes=2,
    ),
]
