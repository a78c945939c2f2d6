"""Tokens that counted once, and were used: a row for each, by its digest, until it has expired.

A token is claimed in the transaction of the handler that gets it, before that runs, and given back
where the handler fails: so of two mails that come with it at the same moment one is handled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, text

from lamson.storage import sqlite
from lamson.storage.tables import redeemed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy.engine import Connection

SLACK = 86400.0  # seconds beyond the token's end: clocks of nodes differ, and work waits

_INTO = "lamson_redeemed (digest, until)"
_NEW = "ON CONFLICT DO NOTHING RETURNING digest"
_CLAIM = text(
    f"INSERT INTO {_INTO} SELECT digest, until"
    " FROM unnest(CAST(:digests AS bytea[]), CAST(:ends AS double precision[]))"
    f" AS new (digest, until) {_NEW}"
)
_PURGE = text(
    "DELETE FROM lamson_redeemed WHERE digest IN"
    " (SELECT digest FROM lamson_redeemed WHERE until < :now LIMIT :piece)"
)


def claim(connection: Connection, tokens: Mapping[bytes, float]) -> set[bytes]:
    """Give those of the digests that are new, in the caller's transaction: the others were used.

    ``tokens`` are the digests, each with when its token expires, in seconds since the epoch. On
    PostgreSQL this waits for another transaction that holds one of them.
    """
    if not tokens:
        return set()
    rows = [(digest, end + SLACK) for digest, end in sorted(tokens.items())]
    if connection.dialect.name == "sqlite":
        return {row[0] for row in sqlite.insert(connection, _INTO, rows, _NEW)}
    digests, ends = zip(*rows, strict=True)
    found = connection.execute(_CLAIM, {"digests": list(digests), "ends": list(ends)})
    return {row[0] for row in found}


def forget(connection: Connection, digests: Collection[bytes]) -> None:
    """Take back claims of this transaction: these tokens were not used after all."""
    if digests:
        connection.execute(delete(redeemed).where(redeemed.c.digest.in_(list(digests))))


def purge(connection: Connection, now: float, piece: int) -> int:
    """Forget some of those that have expired; gives how many, ``piece`` at most."""
    return connection.execute(_PURGE, {"now": now, "piece": piece}).rowcount
