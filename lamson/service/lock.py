"""Locks on files that nobody else can open: who holds one, the system says.

For pid files. They are the record locks of POSIX: F_GETLK names the process that holds one, the
lock of a process that died is gone, and no child has its parent's. A lock of flock(2) has no holder
that could be named, and one that only reads the file can take it; so can whoever holds an open file
description (F_OFD_SETLK), of which F_GETLK tells -1.

The price: a process loses its lock as soon as it closes *any* descriptor of that file. So a file
that this process has locked must not be opened by it once more (`lamson.service.daemon` keeps a
list).
"""

from __future__ import annotations

import fcntl
import os
import struct

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
