"""The processor of a worker: all of its threads share one.

For the workers. Python lets one thread of a process run at a time. On several processors each
handover wakes a thread on another one, which finds the interpreter taken again and sleeps: that
costs a quarter of the CPU of a message by LMTP, and two thirds of it in the milter, which has a
thread for each connection. Linux moves others off a processor that is busy; a second worker gets
another one, whatever group it is of. A worker of one thread, such as the socketmap's, gains nothing
by it, and is left to the kernel.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def free_slot(taken: Iterable[int], taken_by_group: Iterable[int]) -> int:
    """In the supervisor: the slot of a new worker, from 0; there is one for each processor.

    It is the one with the fewest workers, of those ``taken`` by any; where several have so few, the
    one with the fewest of its own group. So a worker that follows one that died gets its slot.
    """
    all_groups, own_group = Counter(taken), Counter(taken_by_group)
    slots = range(len(os.sched_getaffinity(0)))
    return min(slots, key=lambda slot: (all_groups[slot], own_group[slot]))


def keep_to_one(slot: int) -> None:
    """In a worker: keep this process to the processor that its ``slot`` stands for."""
    mine = sorted(os.sched_getaffinity(0))
    # By the supervisor's process id, so that several applications of a machine spread; and by the
    # host name, since in each container that process id is the same: numbered ones take turns.
    first = os.getppid() + sum(socket.gethostname().encode())
    with suppress(PermissionError):  # a sandbox may forbid it; then it is slower
        os.sched_setaffinity(0, {mine[(first + slot) % len(mine)]})
