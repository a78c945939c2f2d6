"""Faults of SQLite and its disk: locked, full, read-only."""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from tests.faults.fault import EARLY_REPLY, SQLITE, Fault
from tests.faults.rig import privileged
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.rig import Rig

PATIENCE = 2  # seconds that Lamson is told to wait for a lock; it would wait for ten
SHORT = 0.3  # seconds that the database is locked, where Lamson waits for it
DISK = 32 * 1024 * 1024  # octets
_FILL = 64 * 1024  # octets written at a time to fill it

_ROLLED_BACK = "nothing can be committed while it lasts"


def _impatient(rig: Rig) -> None:
    rig.database_options = f"?timeout={PATIENCE}"


def _lock(rig: Rig) -> None:
    """The first time for longer than Lamson waits, later for a moment."""
    before = rig.deferrals()
    with closing(rig.sqlite.connect()) as database:
        database.execute("BEGIN EXCLUSIVE")
        if rig.injected == 0:
            rig.wait_refused(before)
        else:
            until = time.monotonic() + SHORT
            wait_for(lambda: time.monotonic() > until, "the time of the lock to pass")
        database.execute("ROLLBACK")


def _small_disk(rig: Rig) -> None:
    rig.disk_size = DISK


def _fill_disk(rig: Rig) -> None:
    """Not one octet is left, for the database, the log or anything else."""
    before = rig.deferrals()
    with closing(rig.sqlite.connect()) as database:
        wait_for(  # or it would find room in its own write-ahead log
            lambda: database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0,
            "a checkpoint",
        )
    filler = rig.project / "filler"
    try:
        _fill(filler)
        rig.wait_refused(before)
    finally:
        filler.unlink()


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        for size in (_FILL, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def _read_only(rig: Rig) -> None:
    """The files cannot be written, and a new worker opens them: it has to open them again later."""
    before = rig.deferrals()
    files = [path for path in rig.sqlite.path.parent.glob("lamson.db*") if path.exists()]
    with _immutable(files):
        for pid in rig.workers():
            os.kill(pid, signal.SIGKILL)
        rig.wait_refused(before)


@contextmanager
def _immutable(files: list[Path]) -> Iterator[None]:
    """Not even root can write them now."""
    names = [str(file) for file in files]
    privileged("chattr", "+i", *names)
    try:
        yield
    finally:
        privileged("chattr", "-i", *names)


FAULTS = [
    Fault(
        name="sqlite-locked",
        title="SQLite held by another `BEGIN EXCLUSIVE`",
        databases=SQLITE,
        prepare=_impatient,
        inject=_lock,
        weakness=EARLY_REPLY,
        why_not_twice=_ROLLED_BACK,
    ),
    Fault(
        name="disk-full",
        title="disk full (database, run directory and log)",
        databases=SQLITE,
        prepare=_small_disk,
        inject=_fill_disk,
        weakness=EARLY_REPLY,
        why_not_twice=_ROLLED_BACK,
    ),
    Fault(
        name="sqlite-read-only",
        title="SQLite's files made read-only under a new worker",
        databases=SQLITE,
        inject=_read_only,
        weakness=EARLY_REPLY,
        why_not_twice=_ROLLED_BACK,
    ),
]
