"""Faults that end processes of Lamson: kill -9 at named places, restarts."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from lamson import failpoint
from tests.faults.fault import (
    EARLY_REPLY,
    FORGETFUL_OUTBOX,
    FORGETFUL_STATES,
    LATE_THREADS,
    NO_SEEN_CHECK,
    Fault,
    no_complaint,
)
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.faults.rig import Rig

PASSES = 4  # a process dies at this one at the earliest: it knows its handlers and batches by then
RESTART_EVERY = 2.0  # seconds
RELOADS = 4  # at a strike
MEANWHILE = 60  # more messages to each of them

_ROLLED_BACK = "nothing was committed when it strikes"


def killed_at(
    name: str, title: str, weakness: str = NO_SEEN_CHECK, why: str = "", *, threads: bool = False
) -> Fault:
    """With ``threads`` each message begins one, and answers and messages are counted there too."""

    def prepare(rig: Rig) -> None:
        if threads:
            rig.environment["FAULTS_THREADS"] = "yes"
        tokens = rig.project.parent / "tokens"
        tokens.mkdir()
        rig.environment["FAULTS_FAILPOINT"] = name
        rig.environment["FAULTS_FAILPOINT_PASSES"] = str(PASSES)
        rig.environment["FAULTS_FAILPOINT_DIR"] = str(tokens)

    def inject(rig: Rig) -> None:
        token = rig.project.parent / "tokens" / "one"
        token.touch()
        wait_for(lambda: not token.exists(), f"a worker to die at {name}", timeout=rig.patience)

    return Fault(
        name=f"killed-{name}" + ("-in-threads" if threads else ""),
        title=f"`kill -9` of a worker {title}",
        prepare=prepare,
        inject=inject,
        weakness=weakness,
        why_not_twice=why,
        nodes=2,
        check=_threads_that_differ if threads else no_complaint,
    )


def _threads_that_differ(rig: Rig) -> str:
    """Each row that a handler left has one thread, in which one mail came and one was sent."""
    rows, *others = rig.store.threads()
    if set(others) == {rows}:
        return ""
    return f"of {rows} deliveries there are {', '.join(map(str, others))} threads, ids, messages"


def _kill_supervisor(rig: Rig) -> None:
    rig.turn.kill()
    start_again(rig)


def _kill_all(rig: Rig) -> None:
    workers = rig.workers(rig.turn)
    rig.turn.kill()
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    start_again(rig)


def start_again(rig: Rig) -> None:
    """As systemd does it with Restart=on-failure: again, until it runs."""

    def starts() -> bool:
        try:
            rig.turn.start()
        except AssertionError:
            if "in use" not in rig.turn.output():
                raise
            return False  # the workers that were left have not let go of the port yet
        return True

    wait_for(starts, "lamson to start again", timeout=rig.patience)


def _restart(rig: Rig) -> None:
    due = getattr(rig, "restart_due", 0.0)
    wait_for(lambda: time.monotonic() >= due, "the time for the next restart")
    rig.restart_due = time.monotonic() + RESTART_EVERY  # type: ignore[attr-defined]
    rig.lamson.stop()
    rig.lamson.start()


def _reload(rig: Rig) -> None:
    before = len(rig.lamson.log_lines("reloaded"))
    for done in range(1, RELOADS + 1):
        rig.load.begin(MEANWHILE)  # a connection has to be made just when the old worker stops
        os.kill(rig.lamson.pid, signal.SIGHUP)
        rig.lamson.wait_log("reloaded", count=before + done)


def _as_by_default(rig: Rig) -> None:
    """Every message comes over a connection of its own, and one cut short puts off all mail."""
    del rig.main["lmtp_destination_concurrency_failed_cohort_limit"]
    rig.main["lmtp_connection_cache_on_demand"] = "no"


def _put_off(rig: Rig) -> str:
    count = rig.deferrals()
    return f"{count} recipients were put off" if count else ""


FAULTS = [
    killed_at(failpoint.AFTER_BEGIN, "after BEGIN", EARLY_REPLY, _ROLLED_BACK),
    killed_at(failpoint.AFTER_SEEN, "after the seen check", EARLY_REPLY, _ROLLED_BACK),
    killed_at(failpoint.AFTER_HANDLER, "after the handler", EARLY_REPLY, _ROLLED_BACK),
    killed_at(failpoint.BEFORE_COMMIT, "before COMMIT", EARLY_REPLY, _ROLLED_BACK),
    killed_at(
        failpoint.BEFORE_COMMIT,
        "before COMMIT, in threads",
        LATE_THREADS,
        _ROLLED_BACK,
        threads=True,
    ),
    killed_at(failpoint.AFTER_COMMIT, "after COMMIT"),
    killed_at(failpoint.AFTER_COMMIT, "after COMMIT, in threads", threads=True),
    killed_at(failpoint.AFTER_FIRST_REPLY, "after the first of three replies"),
    killed_at(
        failpoint.AFTER_SUBMISSION,
        "after submission's 250, before the row is deleted",
        FORGETFUL_OUTBOX,
        "Postfix has had its reply already",
    ),
    Fault(
        name="supervisor-killed",
        title="`kill -9` of the supervisor, then a new start",
        inject=_kill_supervisor,
        weakness=EARLY_REPLY,
        why_not_twice="the workers finish what they began",
    ),
    Fault(
        name="all-killed",
        title="`kill -9` of the supervisor and all workers, then a new start",
        inject=_kill_all,
        weakness=EARLY_REPLY,
        why_not_twice="it strikes anywhere, rarely between COMMIT and reply",
        also=(FORGETFUL_STATES,),
        nodes=2,
    ),
    Fault(
        name="restarted",
        title="SIGTERM and a new start every two seconds",
        inject=_restart,
        weakness=EARLY_REPLY,
        why_not_twice="the workers finish what they began",
    ),
    Fault(
        name="reloaded",
        title="SIGHUP",
        inject=_reload,
        prepare=_as_by_default,
        check=_put_off,
        weakness=EARLY_REPLY,
        why_not_twice="the workers finish what they began",
        long_on=("sqlite", "postgres"),
    ),
]
