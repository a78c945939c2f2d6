"""How long to wait for a database server that says nothing, for what nobody else watches.

A peer may acknowledge everything and answer nothing: a proxy that lost its server, a machine whose
disk is gone. No timeout of TCP notices that. A handler's thread is watched by its deadline; the
relay and the housekeeping have only this limit, without which one such connection would end their
work, and so have the window and who puts mail into the outbox from elsewhere. For PostgreSQL (see
lamson/storage/postgres.py). SQLite has a timeout of its own for other processes; for a transaction
of this one, as that of a handler that hangs, this is the limit, too.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENCE = 30.0  # seconds
_limit: ContextVar[float | None] = ContextVar("limit", default=None)


@contextmanager
def patience(seconds: float | None = None) -> Iterator[None]:
    """Within this, and in threads begun here by `asyncio.to_thread`, silence has a limit.

    The connection is then closed, and what was under way fails: it may have been done or not.
    """
    token = _limit.set(SILENCE if seconds is None else seconds)
    try:
        yield
    finally:
        _limit.reset(token)


def limit() -> float | None:
    """How long a server may say nothing just now, in seconds; None where somebody watches."""
    return _limit.get()
