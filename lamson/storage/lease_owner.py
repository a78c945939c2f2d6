"""Who holds a lease in the outbox, and whether that process is dead.

An owner's name is ``host:project:place.pid``: a place is where process numbers mean the same
processes, this start of this machine and this container. Of our own place we ask for each process;
of a former one all are dead, since the lock of the run directory is ours now. Of any other nothing
is known: its leases run out.
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
    from collections.abc import Collection

    from lamson.storage.outbox import Outbox

_MOST_PLACES = 20  # that are remembered
_LONGEST = 160  # characters of a name
_IDENTITIES = (Path("/proc/sys/kernel/random/boot_id"), Path("/etc/machine-id"))


class LeaseOwners:
    """The processes of one project on this machine, as the outbox names them."""

    def __init__(self, project: Path, run_dir: Path) -> None:
        self._project = project
        self._run_dir = run_dir
        self._lost: set[str] = set()  # processes that are known to be dead
        self._former: set[str] = set()  # places where all are dead

    def name(self, pid: int | str) -> str:
        """Who holds a lease: this machine, this project, that process."""
        return f"{socket.gethostname()}:{self._project}:{_place()}.{pid}"[-_LONGEST:]

    def release_dead(
        self, outbox: Outbox, lost_pids: Collection[int] = (), *, is_running: bool = False
    ) -> None:
        """Give back what processes of this machine and project leased and left behind.

        ``lost_pids`` are known to be dead: somebody else may have such a number again.
        Unless we are running already, a lease of a process with our pid is that of one that had it
        before us, as in a container that was killed. A database that fails is logged, since a
        worker has to come up all the same, to answer 451; the leases run out then.
        """
        self._lost.update(map(str, lost_pids))
        if not is_running:
            with suppress(OSError):
                self._former = _former_places(self._run_dir)
        try:
            for owner in outbox.owners():
                if self._is_dead(owner, is_running=is_running):
                    outbox.release_owner(owner)
            self._lost.clear()
        except (SQLAlchemyError, OSError, LamsonError) as error:
            log.logger.error("outbox: mail of dead processes has to wait: %s", failure.brief(error))

    def _is_dead(self, owner: str, *, is_running: bool) -> bool:
        where, _, process = owner.rpartition(":")
        place, _, pid = process.partition(".")
        if where != self.name(os.getpid()).rpartition(":")[0]:
            return False
        if pid == str(os.getpid()):
            return not is_running
        if place == _place():
            return pid in self._lost or not _lives(pid)
        return place in self._former


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


def _lives(pid: str) -> bool:
    """Whether there is such a process. One that ended, and that its parent let lie, is dead."""
    try:
        os.kill(int(pid), 0)
        state = Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:  # another user's, which /proc may hide from us (ProtectProc=)
        return True
    return state not in "ZX"
