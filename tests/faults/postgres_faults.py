"""Faults of PostgreSQL: sessions ended at every point of a transaction, crash, read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.fault import EARLY_REPLY, NO_SEEN_CHECK, POSTGRES, Fault
from tests.faults.proxy import Link, Rule, Verdict
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.rig import Rig

_COMMITTED = b"COMMIT\0"  # the tag of CommandComplete (PostgreSQL's protocol, section 55.7)

# A COMMIT that waits while the table `hold` has a row.
_HOLD = """
CREATE TABLE hold ();
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM hold) THEN PERFORM pg_sleep(10); END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON effect DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION hold();
"""


class NoCommitReply(Rule):
    """Cuts instead of passing on that a transaction was committed."""

    def from_server(self, link: Link, data: bytes) -> Verdict:
        return Verdict(b"", True) if _COMMITTED in data and self.take() else Verdict(data)


def _terminate(rig: Rig, where: str) -> Callable[[], int]:
    store = rig.postgres
    return lambda: store.server.terminate_backends(store.name, where)


def _before_commit(rig: Rig) -> None:
    within = "xact_start IS NOT NULL AND query NOT LIKE 'COMMIT%'"
    wait_for(_terminate(rig, within), "a session in a transaction", timeout=rig.patience)


def _during_commit(rig: Rig) -> None:
    """While deferred constraints are checked: it is rolled back."""
    store = rig.postgres
    if rig.injected == 0:
        store.server.execute(_HOLD, store.name)
    store.server.execute("INSERT INTO hold DEFAULT VALUES", store.name)
    sleeping = "wait_event = 'PgSleep' AND query LIKE 'COMMIT%'"
    wait_for(_terminate(rig, sleeping), "a session in COMMIT", timeout=rig.patience)
    store.server.execute("DELETE FROM hold", store.name)
    wait_for(lambda: not _terminate(rig, sleeping)(), "no session in COMMIT", timeout=rig.patience)


def _waiting_for_standby(rig: Rig) -> None:
    """While it waits for a standby: it is committed, and the client is told that it failed."""
    server = rig.postgres.server
    server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.execute("SELECT pg_reload_conf()")
    try:
        wait_for(
            _terminate(rig, "wait_event = 'SyncRep'"), "a COMMIT that waits", timeout=rig.patience
        )
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")


def _unanswered(rig: Rig) -> None:
    rig.database_rule = NoCommitReply()


def _after_commit(rig: Rig) -> None:
    rule = rig.database_rule
    assert rule is not None
    before = rule.struck
    rule.arm()
    wait_for(lambda: rule.struck > before, "a COMMIT to be cut off", timeout=rig.patience)


def _crash(rig: Rig) -> None:
    rig.postgres.server.stop(immediate=True)
    rig.postgres.server.start()


def _read_only(rig: Rig) -> None:
    server, before = rig.postgres.server, rig.deferrals()
    server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    server.execute("SELECT pg_reload_conf()")
    try:
        rig.wait_refused(before)
    finally:
        server.execute("ALTER SYSTEM RESET default_transaction_read_only")
        server.execute("SELECT pg_reload_conf()")


FAULTS = [
    Fault(
        name="postgres-before-commit",
        title="`pg_terminate_backend` before COMMIT",
        databases=POSTGRES,
        inject=_before_commit,
        weakness=EARLY_REPLY,
        why_not_twice="PostgreSQL rolls back",
    ),
    Fault(
        name="postgres-during-commit",
        title="`pg_terminate_backend` during COMMIT, in a deferred constraint",
        databases=POSTGRES,
        inject=_during_commit,
        weakness=EARLY_REPLY,
        why_not_twice="PostgreSQL rolls back",
    ),
    Fault(
        name="postgres-in-sync-wait",
        title="`pg_terminate_backend` during COMMIT, waiting for a standby",
        databases=POSTGRES,
        inject=_waiting_for_standby,
        nodes=2,
    ),
    Fault(
        name="postgres-after-commit",
        title="connection to PostgreSQL cut after COMMIT, before its answer",
        databases=POSTGRES,
        prepare=_unanswered,
        inject=_after_commit,
        nodes=2,
        weakness=NO_SEEN_CHECK,
    ),
    Fault(
        name="postgres-crash",
        title="PostgreSQL ended as in a crash, then started again",
        databases=POSTGRES,
        inject=_crash,
        nodes=2,
        weakness=EARLY_REPLY,
        why_not_twice="it strikes anywhere, rarely between COMMIT and its answer",
    ),
    Fault(
        name="postgres-read-only",
        title="PostgreSQL made read-only",
        databases=POSTGRES,
        inject=_read_only,
        weakness=EARLY_REPLY,
        why_not_twice="nothing can be committed while it lasts",
    ),
]
