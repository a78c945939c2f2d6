"""The processor of a worker: all of its threads share one.

For the worker. libmilter has a thread for each connection, and Python lets one of them run at a
time. On several processors each handover wakes a thread on another one, which finds the interpreter
taken again and sleeps: three times the CPU per message. Linux moves others off a processor that is
busy; a second worker gets another one.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

_SWITCH = 0.05  # seconds; a callback takes less than one, and gives the interpreter up by itself


def keep_to_one(number: int) -> None:
    """Keep this process, the ``number``-th of its group, to one of its processors."""
    mine = sorted(os.sched_getaffinity(0))
    # By the supervisor's process id, so that several applications of a machine spread.
    with suppress(PermissionError):  # a sandbox may forbid it; then it is slower
        os.sched_setaffinity(0, {mine[(os.getppid() + number) % len(mine)]})
    sys.setswitchinterval(_SWITCH)
