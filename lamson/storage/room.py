"""How much mail a process may hold to submit it: in octets, since a stranger decides the size.

For `lamson.storage.held`, which knows what is held, and for the outbox, which takes as much as
finds room and leaves the rest in the table. For any thread: each number is written by one of them
alone, but for what is wanted, where the last word counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BUDGET = 64 * 1024 * 1024  # octets of one process, unless the settings say otherwise
AT_ONCE = 4 * 1024 * 1024  # octets in one statement, unless one row has more
_Item = TypeVar("_Item")


class Room:
    """What is free of ``limit`` octets where ``used`` are held; filled one message at a time."""

    __slots__ = ("_limit", "_used")

    def __init__(self, limit: int, used: int) -> None:
        self._limit = limit
        self._used = used

    def take(self, octets: int) -> bool:
        """Whether a message finds room, which is taken then. One larger than all goes alone."""
        if self._used and self._used + octets > self._limit:
            return False
        self._used += octets
        return True


class Budget:
    """The octets of content that one process holds, ``limit`` at most."""

    def __init__(self, limit: int = BUDGET) -> None:
        self.limit = limit
        self.held = 0
        self.coming = 0  # of rows that a claim leases to us
        self.wanted: int | None = None  # of a row that was left in the table for want of room

    @property
    def is_spent(self) -> bool:
        """Whether new rows are better left in the table.

        So they are too while one that waits there for room would otherwise never find it.
        """
        octets = self.held + self.coming
        return octets >= self.limit or octets + (self.wanted or 0) > self.limit

    @property
    def has_room_again(self) -> bool:
        """Whether what was left in the table finds room now, and so much that it is worth it."""
        wanted = self.wanted
        return wanted is not None and self.held + max(wanted, self.limit // 2) <= self.limit

    def room(self) -> Room:
        """What may be taken in now."""
        return Room(self.limit, self.held + self.coming)

    def want(self, octets: int = 0) -> None:
        """A row of that size was left in the table for want of room."""
        self.wanted = max(self.wanted or 0, min(octets, self.limit))

    def want_nothing(self) -> None:
        """Somebody looks into the table now."""
        self.wanted = None


def parts(
    items: Sequence[_Item], size: Callable[[_Item], int], most: int = AT_ONCE
) -> Iterator[Sequence[_Item]]:
    """``items`` in parts of at most ``most`` octets, or of one item that is larger.

    A driver makes a copy or two of what goes over at once, and a server has a limit for it.
    """
    begin = octets = 0
    for at, item in enumerate(items):
        more = size(item)
        if at > begin and octets + more > most:
            yield items[begin:at]
            begin, octets = at, 0
        octets += more
    if begin < len(items):
        yield items[begin:] if begin else items
