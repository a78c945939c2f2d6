"""Memory that large messages took is given back to the system.

For the workers. glibc maps a large piece for itself and unmaps it when it is freed, but raises the
size from which it does so (to 32 MiB in the end) as soon as one was freed: from then on messages
lie on the heap, which keeps what it once had, and the more so the more threads there are.
"""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3  # mallopt(3)
LARGE = 1024 * 1024  # octets


def give_back_large() -> None:
    """Have each piece of 1 MiB or more given back when it is freed. glibc alone knows how."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE)
