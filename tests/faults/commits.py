"""Faults that show at COMMIT alone: a constraint that the database looks at only then."""

from __future__ import annotations

import smtplib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lamson.relay.relay import SWEEP_INTERVAL
from tests.faults import load
from tests.faults.fault import EARLY_REPLY, LOST_DELETES, POSTGRES, Fault
from tests.postfix.sender import letter
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.rig import Rig

STRANGER = "d"  # the place of a recipient that no message of the load has
CLIENTS = 6

# PostgreSQL takes its time over a COMMIT before it refuses it: meanwhile the relay looks for rows
# to delete, and finds none, as that transaction has them. By its name it is the first to fire.
_SLOW_COMMIT = (
    "CREATE OR REPLACE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END'",
    'DROP TRIGGER IF EXISTS "A" ON violation',
    'CREATE CONSTRAINT TRIGGER "A" AFTER INSERT ON violation DEFERRABLE INITIALLY DEFERRED '
    "FOR EACH ROW EXECUTE FUNCTION take_time()",
)


def _places(rig: Rig) -> Path:
    return rig.project.parent / "violating"


def _prepare(rig: Rig) -> None:
    rig.environment["FAULTS_VIOLATING"] = str(_places(rig))


@contextmanager
def _violated(rig: Rig, place: str) -> Iterator[None]:
    """What the handler writes for recipients at ``place`` cannot be committed."""
    _places(rig).write_text(place)
    try:
        yield
    finally:
        _places(rig).unlink()


def _fail_commit(rig: Rig) -> None:
    before = rig.deferrals()
    with _violated(rig, load.PLACES[1]):
        rig.wait_refused(before)


def _fail_beside(rig: Rig) -> None:
    """Transactions fail while the load goes through, the last ones after everything; then it is
    quiet, and what they were to delete has to be deleted all the same.
    """
    for statement in _SLOW_COMMIT:
        rig.postgres.server.execute(statement, rig.postgres.name)
    rig.send_held_back()
    with _violated(rig, STRANGER), ThreadPoolExecutor(CLIENTS) as pool:
        is_over = threading.Event()
        clients = [
            pool.submit(_send_in_vain, rig.lamson.port, f"n{number}@world.test", is_over)
            for number in range(CLIENTS)
        ]
        try:
            wait_for(
                lambda: len(rig.sink.messages) >= len(load.PLACES) * rig.load.asked,
                "all replies to come out",
                timeout=rig.patience,
            )
        finally:
            is_over.set()
        for client in clients:
            client.result()
    timeout = 2.0 if rig.weakness else 2 * SWEEP_INTERVAL
    wait_for(lambda: not _rows_left(rig), lambda: _rows_left(rig), timeout=timeout)


def _send_in_vain(port: int, sender: str, is_over: threading.Event) -> None:
    stranger = f"{STRANGER}-0@{load.DOMAIN}"
    content = letter(sender, stranger, "in vain")
    with smtplib.LMTP("127.0.0.1", port, local_hostname="load.test") as client:
        while not is_over.is_set():
            with suppress(smtplib.SMTPDataError):
                client.sendmail(sender, stranger, content)


def _rows_left(rig: Rig) -> str:
    waiting = rig.store.waiting()
    return f"{waiting} rows left in the outbox" if waiting else ""


FAULTS = [
    Fault(
        name="commit-fails",
        title="COMMIT refused by a constraint, for one of three recipients",
        prepare=_prepare,
        inject=_fail_commit,
        weakness=EARLY_REPLY,
        why_not_twice="nothing is committed that fails",
    ),
    Fault(
        name="commit-fails-then-quiet",
        title="COMMITs refused beside the load, and no mail after the last of them",
        databases=POSTGRES,
        prepare=_prepare,
        inject=_fail_beside,
        check=_rows_left,
        weakness=LOST_DELETES,
        why_not_twice="the rows that are left are leased for five minutes",
    ),
]
