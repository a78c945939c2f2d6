"""Pid files: which process a server is, held with a lock for as long as it lives.

For the server, which holds one, and for the commands that ask who runs, or end it (`daemon`). The
lock alone says whether the server lives and which process it is: a file left behind by a crash is
recognised, whoever has that pid today, and what holds no lock of ours is nobody. Nobody else can
open the file, and so nobody else can lock it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from typing import TYPE_CHECKING

from lamson import private
from lamson.errors import LamsonError, UnavailableError
from lamson.service import lock

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

PID_FILE = "lamson.pid"  # of the mail server, in the run directory
_held: set[PidFile] = set()
# Whoever closes a file that this process has locked unlocks it: one thread at a time.
_mutex = threading.RLock()


class PidFile:
    """A pid file: a line with the pid, then what the server says of itself, both while it lives.

    Use as a context manager. The lock belongs to this process alone: forked children let go of it,
    so that workers which outlive their supervisor do not pass for it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Lock the file and write the pid.

        Raises UnavailableError where a live process has it, LamsonError where another user has put
        something in its place.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _mutex:
            while not self._try():
                pass
            _held.add(self)
            self.describe("")

    def _try(self) -> bool:
        """Open and lock the file; False where its former owner removed it in between."""
        if _ours(self.path) is not None:
            raise _running(os.getpid(), self.path)
        descriptor = _open(self.path, os.O_RDWR | os.O_CREAT)
        try:
            if (pid := lock.former(descriptor)) and _user(pid) == os.geteuid():
                raise _running(pid, self.path)
            if not lock.take(descriptor):
                pid = lock.holder(descriptor)
                if pid is not None:
                    if not pid or _user(pid) == os.geteuid():
                        raise _running(pid, self.path)
                    # It lay open to others, and one of them has it. We make one of our own.
                    if _identity(self.path) == _identity(descriptor):
                        self.path.unlink()
            elif _identity(self.path) == _identity(descriptor):
                if os.fstat(descriptor).st_uid != os.geteuid():  # a reader compares the two
                    os.fchown(descriptor, os.geteuid(), -1)
                os.fchmod(descriptor, 0o600)  # those of older versions are open to everybody
                self._descriptor = descriptor
                return True
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return False

    def describe(self, text: str) -> None:
        """Write what `read_description` is to tell, such as what the server listens on."""
        content = f"{os.getpid()}\n{text}".rstrip("\n") + "\n"
        os.pwrite(self._descriptor, content.encode(), 0)  # first: a reader never sees it empty
        os.ftruncate(self._descriptor, len(content.encode()))

    def release(self) -> None:
        """Remove the file and unlock it. Does nothing where it is not held."""
        with _mutex:
            if self._descriptor >= 0:
                with contextlib.suppress(FileNotFoundError):
                    self.path.unlink()
                self._forget()

    def _forget(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        _held.discard(self)

    def __enter__(self) -> PidFile:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _forget_in_child() -> None:
    global _mutex
    _mutex = threading.RLock()  # a thread that is not there any more may have it
    for pid_file in list(_held):
        pid_file._forget()


os.register_at_fork(after_in_child=_forget_in_child)


def _open(path: Path, flags: int) -> int:
    """Open a pid file. Raises LamsonError for what is none, such as a link or another's file.

    Root may look at the server of any user, whose file that is.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise LamsonError(
            f"{path}: it is a symbolic link, and so no pid file; remove it", exit_code=os.EX_NOPERM
        ) from None
    status = os.fstat(descriptor)
    problem = ""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        problem = "it is no pid file of ours"
    elif status.st_uid not in private.trusted_users() and (flags & os.O_CREAT or os.geteuid()):
        problem = f"it belongs to {private.owner(status)}"
    if problem:
        os.close(descriptor)
        raise LamsonError(f"{path}: {problem}; remove it", exit_code=os.EX_NOPERM)
    return descriptor


def _identity(file: Path | int) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _ours(path: Path) -> PidFile | None:
    """The pid file at ``path`` where this process holds it. It must not be opened then."""
    identity = _identity(path)
    held = (one for one in _held if identity and _identity(one._descriptor) == identity)
    return next(held, None)


def _running(pid: int, path: Path) -> UnavailableError:
    return UnavailableError(f"already running ({named(pid)}, {path})")


def named(pid: int) -> str:
    """How a server is called that `read` has found."""
    return f"pid {pid}" if pid else "in another container"


def _read(pid_file: Path) -> tuple[int, str] | None:
    with _mutex:
        if (ours := _ours(pid_file)) is not None:
            return os.getpid(), _description(ours._descriptor)
        try:
            descriptor = _open(pid_file, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            pid = lock.holder(descriptor)
            if pid is None:
                pid = lock.former(descriptor)
            if pid is None or (pid and _user(pid) != os.fstat(descriptor).st_uid):
                return None  # nobody, or somebody who happens to lock a file that was put here
            return pid, _description(descriptor)
        finally:
            os.close(descriptor)


def _description(descriptor: int) -> str:
    text = os.pread(descriptor, 65536, 0).decode(errors="replace")
    return text.partition("\n")[2].rstrip("\n")


def _user(pid: int) -> int | None:
    """The effective user of a process; None where there is no such process (any more)."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            fields = dict(line.partition(":")[::2] for line in status)
        return int(fields["Uid"].split()[1])
    except (OSError, KeyError):
        return None


def read(pid_file: Path) -> int | None:
    """The pid of the live server that holds the file; None where there is none.

    It is 0 for a process that cannot be seen from here. Raises LamsonError for what another user
    has put in the place of a pid file.
    """
    found = _read(pid_file)
    return found[0] if found else None


def read_description(pid_file: Path) -> str:
    """What the live server says of itself, "" where there is none."""
    found = _read(pid_file)
    return found[1] if found else ""
