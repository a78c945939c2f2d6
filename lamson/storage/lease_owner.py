"""Who holds a lease in the outbox, and whether that process is dead.

An owner's name is ``host:project:place.pid.start``: a place is where process numbers mean the same
processes, this start of this machine and this container; the start (clock ticks since that of the
machine) tells processes with one number from each other, also those of a container that was started
again, which the kernel may give the same place. Of our own place we ask for each process; of a
former one all are dead, since the lock of the run directory is ours now. Of any other nothing is
known: its leases run out.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from lamson import log
from lamson.errors import LamsonError
from lamson.storage import failure

if TYPE_CHECKING:
    from lamson.storage.outbox import Outbox

_MOST_PLACES = 20  # that are remembered
_LONGEST = 160  # characters of a name, but for the process
_IDENTITIES = (Path("/proc/sys/kernel/random/boot_id"), Path("/etc/machine-id"))


class LeaseOwners:
    """The processes of one project on this machine, as the outbox names them."""

    def __init__(self, project: Path, run_dir: Path) -> None:
        self._project = project
        self._run_dir = run_dir
        self._former: set[str] = set()  # places where all are dead

    def name(self, pid: int) -> str:
        """Who holds a lease: this machine, this project, that process."""
        return f"{self._service()}:{_place()}.{pid}.{_start(pid)}"

    def _service(self) -> str:
        return f"{socket.gethostname()}:{self._project}"[-_LONGEST:]

    def release_dead(self, outbox: Outbox, *, is_running: bool = False) -> None:
        """Give back what processes of this machine and project leased and left behind.

        Where we are not running already, the places where this service ran before are read first.
        A database that fails is logged, since a worker has to come up all the same, to answer 451;
        it is looked again before long.
        """
        if not is_running:
            with suppress(OSError):
                self._former = _former_places(self._run_dir)
        try:
            for owner in outbox.owners():
                if self._is_dead(owner):
                    outbox.release_owner(owner)
        except (SQLAlchemyError, OSError, LamsonError) as error:
            log.logger.error("outbox: mail of dead processes has to wait: %s", failure.brief(error))

    def _is_dead(self, owner: str) -> bool:
        service, _, process = owner.rpartition(":")
        if service != self._service():
            return False
        place, pid, start = (*process.split("."), "", "")[:3]
        if not pid.isdigit():
            return False  # none of ours has such a name: it runs out
        return not _lives(int(pid), start) if place == _place() else place in self._former


@cache
def _place() -> str:
    """Where pids mean the same processes: this start of this machine, this container."""
    return f"{_boot()[:8]}-{os.stat('/proc/self/ns/pid').st_ino:x}"


def _former_places(run_dir: Path) -> set[str]:
    """Where the service of this run directory ran before; writes down where it runs now.

    Nobody lives there any more, since our supervisor holds the lock of that directory. That tells
    what a killed container or machine left behind, whose process numbers say nothing here.
    """
    file, here = run_dir / "places", _place()
    former = [place for place in file.read_text().split() if place != here] if file.exists() else []
    new = file.with_suffix(f".{os.getpid()}")
    new.write_text("\n".join([*former[-_MOST_PLACES:], here, ""]))
    new.replace(file)
    return set(former)


def _boot() -> str:
    """This start of this machine; the machine alone where systemd hides it (ProcSubset=pid).

    A lease from before a restart then looks alive if its pid is in use again, and runs out.
    """
    for identity in _IDENTITIES:
        with suppress(OSError):
            return identity.read_text().strip()
    return ""


def _lives(pid: int, start: str) -> bool:
    """Whether there is such a process, and no other that was given its number since.

    One that ended, and that its parent let lie, is dead. Without a ``start``, as names had none
    before, the number has to do.
    """
    try:
        os.kill(pid, 0)
        state, began = _state_and_start(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:  # another user's, which /proc may hide from us (ProtectProc=)
        return True
    return state not in "ZX" and start in {"", began}


def _start(pid: int) -> str:
    """When the process started; empty where there is none, or where it is hidden from us."""
    try:
        return _state_and_start(pid)[1]
    except OSError:
        return ""


def _state_and_start(pid: int) -> tuple[str, str]:
    """The fields 3 and 22 of /proc/pid/stat (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], fields[19]
