"""The processor of a worker: all of its threads share one.

For the workers. Python lets one thread of a process run at a time. On several processors each
handover wakes a thread on another one, which finds the interpreter taken again and sleeps: that
costs a quarter of the CPU of a message by LMTP, and two thirds of it in the milter, which has a
thread for each connection. Linux moves others off a processor that is busy; a second worker gets
another one.
"""

from __future__ import annotations

import os
from contextlib import suppress


def keep_to_one(number: int) -> None:
    """Keep this process, the ``number``-th of its group, to one of its processors."""
    mine = sorted(os.sched_getaffinity(0))
    # By the supervisor's process id, so that several applications of a machine spread.
    with suppress(PermissionError):  # a sandbox may forbid it; then it is slower
        os.sched_setaffinity(0, {mine[(os.getppid() + number) % len(mine)]})
