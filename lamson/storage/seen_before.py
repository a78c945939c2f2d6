"""What an earlier version handled: its keys have neither a time nor a content beside them.

They are asked too for as long as there are any, 30 days after the upgrade at most, so that nothing
is handled again because of it. Nobody adds to them: once there are none, that costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, text

from lamson.storage.seen import KEEP
from lamson.storage.tables import seen_before

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.engine import Connection

    from lamson.storage.seen_key import Key

LOOKUPS = 1000  # after which it is asked again whether any are left

_PURGE = text(
    "DELETE FROM lamson_seen_before WHERE key IN"
    " (SELECT key FROM lamson_seen_before WHERE handled_at < :old LIMIT :piece)"
)


class SeenBefore:
    """Knows of one database whether such keys are left. Threads may share it."""

    def __init__(self) -> None:
        self._lookups = 0
        self._is_empty = False

    def among(self, connection: Connection, keys: Collection[Key]) -> set[Key]:
        """Those of ``keys`` that an earlier version handled."""
        if self._is_empty or not keys:
            return set()
        if self._lookups % LOOKUPS == 0:
            any_one = connection.execute(select(seen_before.c.key).limit(1)).first()
            self._is_empty = any_one is None
        self._lookups += 1
        asked = {key.without_time: key for key in keys}
        found = connection.execute(
            select(seen_before.c.key).where(seen_before.c.key.in_(list(asked)))
        )
        return {asked[key] for key in found.scalars()}


def purge(connection: Connection, now: float, piece: int) -> int:
    """Drop ``piece`` of those handled more than 30 days of the service clock ago; gives how many.

    Fewer say that no more is to be dropped.
    """
    return connection.execute(_PURGE, {"old": now - KEEP, "piece": piece}).rowcount
