"""Locks on files that nobody else can open: who holds one, the system says.

For pid files. They are the record locks of POSIX: F_GETLK names the process that holds one, the
lock of a process that died is gone, and no child has its parent's. A lock of flock(2) has no holder
that could be named, and one that only reads the file can take it; so can whoever holds an open file
description (F_OFD_SETLK), of which F_GETLK tells -1.

The price: a process loses its lock as soon as it closes *any* descriptor of that file. So a file
that this process has locked must not be opened by it once more (`lamson.service.pidfile` keeps a
list).

Version 0.1 took locks of flock(2). One of its servers that runs on while a new version is installed
is known by `former`.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

_FLOCK = "hhqqi4x"  # struct flock of Linux, with 64-bit offsets: type, whence, start, length, pid


def take(descriptor: int) -> bool:
    """Lock the file, without waiting; False where another process has it."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as fcntl(2) has it
        return False
    return True


def holder(descriptor: int) -> int | None:
    """The process that has locked the file; None where none has, 0 where it cannot be seen.

    Such a one is in a container of its own, or on another machine. Our own lock is not told.
    """
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else max(0, pid)


def former(descriptor: int) -> int | None:
    """The server of version 0.1 that has locked the file: the process that it names, and no other.

    Somebody has to have locked it by flock(2), and that process has to have it open, since pids are
    used again. To be asked before `take`: where flock(2) is made of record locks, as on NFS, this
    lets go of ours.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        written = os.pread(descriptor, 32, 0).partition(b"\n")[0]
        pid = int(written) if written.isdigit() else 0
        return pid if pid and _has_open(pid, os.fstat(descriptor)) else None
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return None


def _has_open(pid: int, file: os.stat_result) -> bool:
    opened = Path(f"/proc/{pid}/fd")
    try:
        return any(os.path.samestat(one.stat(), file) for one in opened.iterdir() if one.exists())
    except OSError:  # it is gone, or another user's
        return False
