"""File descriptors: as many as the settings need, and quiet where there are none to be had.

For the workers. Each connection takes one. The soft limit that programs start with (1,024, for the
sake of programs that use select(2)) may be raised by everybody up to the hard one; where that is
too low fewer connections are taken, and the log says so. Where descriptors run out all the same (by
a handler, or because the whole system has none left) a client waits in the kernel's queue until one
is free again.
"""

from __future__ import annotations

import errno
import os
import resource
import time
from typing import TYPE_CHECKING, Any

from lamson import log

if TYPE_CHECKING:
    import asyncio

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
BESIDE = 100  # descriptors for all that is no connection: files, pipes, the database
_LEAST = 10  # connections; with fewer a worker is of no use
_SILENCE = 1.0  # seconds between two lines about it


def reserve(connections: int, beside: int = BESIDE, *, each: int = 1) -> int:
    """Raise the limit for ``connections`` and ``beside`` others; gives how many connections fit.

    A connection takes ``each`` descriptors.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections * each + beside
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most >= needed:
        return connections
    left = max(_LEAST, (most - beside) // each)
    log.logger.warning(
        "%d connections are as many as this process may have, not max_connections (%d): its limit"
        " of open files is %d (LimitNOFILE=, ulimit -Hn), and %d are needed",
        left,
        connections,
        hard,
        needed,
    )
    return min(left, connections)


def is_shortage(error: BaseException) -> bool:
    """Whether the system had no descriptor, or no memory, for what was asked of it."""
    return isinstance(error, OSError) and error.errno in SHORTAGES


def be_quiet(loop: asyncio.AbstractEventLoop) -> None:
    """Have ``loop`` tell once a second that no connection can be accepted.

    asyncio tells for each that it might have accepted, with a traceback, and tries again after a
    second: 500 times at a go, which filled a disk with three megabytes a second.
    """
    told = 0.0

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal told
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in SHORTAGES and "socket" in context):
            loop.default_exception_handler(context)
        elif time.monotonic() - told >= _SILENCE:
            told = time.monotonic()
            problem = os.strerror(error.errno or 0)
            log.logger.error("no connection can be accepted, clients wait: %s", problem)

    loop.set_exception_handler(handle)
