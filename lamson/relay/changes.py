"""The relay's changes of the outbox, off the event loop, and made later where the database fails.

A change that fails for a reason that nobody expected is tried twice. Then its rows are left to the
end of their lease: it must not keep all others waiting for ever.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from lamson import log
from lamson.storage import failure
from lamson.storage.held import Deferral
from lamson.storage.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from lamson.storage.outbox import Outbox
    from lamson.storage.outgoing import Outgoing


class Changes:
    """What is to be written of the rows that ``outbox.held`` knows."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._held = outbox.held

    async def defer(self, row: Outgoing, due_at: float) -> None:
        """Give a row back for later."""
        await self._give_back(partial(self._outbox.defer, row, due_at), [row.id])

    async def release(self, ids: Collection[int]) -> None:
        """Give rows back as they are."""
        await self._give_back(partial(self._outbox.release, ids), ids)

    async def delete(self) -> None:
        """Delete the rows that are done with, unless a delivery's transaction has them along."""
        if self._held.has_deletions:
            await _is_made(self._outbox.delete_now)

    async def renew(self, rows: Collection[Outgoing]) -> None:
        """Lease rows for longer; what fails now is tried again while it is under way."""
        if rows:
            await _is_made(partial(self._outbox.renew, rows))

    async def catch_up(self) -> bool:
        """Release what is in doubt, and make the changes that the database lacks.

        False when it fails still.
        """
        await self.release(self._held.begin_release())
        while change := self._held.begin_again():
            if isinstance(change, Deferral):
                ids = [change.row.id]
                write = partial(self._outbox.defer, *change)
            else:
                ids = change
                write = partial(self._outbox.release, ids)
            if not await self._give_back(write, ids, is_last=True):
                return False
        return not self._held.is_behind or await _is_made(self._outbox.delete_now, is_last=True)

    async def _give_back(
        self, write: Callable[[], object], ids: Collection[int], *, is_last: bool = False
    ) -> bool:
        is_settled = not ids or await _is_made(write, is_last=is_last)
        self._held.returned(ids, is_settled=is_settled)
        return is_settled


async def _is_made(change: Callable[[], object], *, is_last: bool = False) -> bool:
    """Try a change. False where it is worth another attempt."""
    try:
        with patience():
            await asyncio.to_thread(change)
    except Exception as error:  # noqa: BLE001 - a bug here must not stop the other mail
        explain(error)
        if failure.is_outage(error):
            return False
        return is_last or isinstance(error, SQLAlchemyError)
    return True


def explain(error: Exception) -> None:
    """Log a failure of the database in one line, any other with its traceback."""
    is_known = failure.is_known(error)
    log.logger.error(
        "outbox: the database failed: %s",
        failure.brief(error),
        exc_info=None if is_known else error,
    )
