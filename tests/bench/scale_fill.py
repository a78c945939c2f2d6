"""Fills a database as long use leaves it, for `tests.bench.scale`.

The keys of what was handled are made as `lamson.storage.seen_key` makes them, in the order of time.
States came in any order and were changed since, so that their pages have the room that such a life
leaves. Mail waits since submission is down; each message is small.
"""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.storage.seen_key import time_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database

MODULE = "app.handlers"  # whose state machine the states are of


@dataclass(frozen=True)
class Size:
    """How much there is, and how many routes the application has."""

    keys: int
    states: int
    waiting: int
    timers: int
    routes: int


@dataclass(frozen=True)
class _Words:
    """What differs between the databases; ``i`` counts from one."""

    numbers: str
    key: str  # with that time
    content: str  # its 16 octets
    message: str
    digest: str
    mixed: str  # an order of its own


_SQLITE = _Words(
    "(WITH RECURSIVE m (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM m WHERE i < {})"
    " SELECT i FROM m) AS n",
    "key_at({})",
    "randomblob(16)",
    "randomblob(200)",
    "hex(randomblob(16))",
    "random()",
)
_POSTGRES = _Words(
    "generate_series(1::bigint, {}) AS n (i)",
    "decode(lpad(to_hex({}), 16, '0') || md5(i::text), 'hex')",
    "decode(md5(i::text), 'hex')",
    "decode(repeat(md5(i::text), 12), 'hex')",
    "md5(i::text)",
    "md5(i::text)",
)
_MOVED = "UPDATE lamson_state SET state = 'SECOND' WHERE substr(author, 5, 1) >= '5'"


def fill(database: Database, size: Size) -> None:
    """Make the tables, and their rows."""
    database.create_all()
    if database.is_sqlite:
        database.close()
        _fill_sqlite(str(database.engine.url.database), size)
        return
    with database.read() as connection:
        _insert(connection.exec_driver_sql, _POSTGRES, size)
        connection.exec_driver_sql(_MOVED)
        # As autovacuum would have by then.
        tables = ", ".join(f"lamson_{name}" for name in ("seen", "state", "tasks", "outbox"))
        connection.exec_driver_sql(f"VACUUM (ANALYZE) {tables}")


def _fill_sqlite(path: str, size: Size) -> None:
    """On a connection that writes each page once."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.create_function("key_at", 1, lambda at: time_prefix(at) + os.urandom(16))
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("BEGIN")
    _insert(connection.execute, _SQLITE, size)
    connection.execute(_MOVED)
    connection.execute("COMMIT")
    connection.close()


def _insert(execute: Callable[[str], object], words: _Words, size: Size) -> None:
    now = time.time()
    oldest = int(now * 1e6) - (size.keys + 10_000) * 1000  # microseconds
    for into, number, values, order in (
        (
            "seen (key, content, handled_at)",
            size.keys,
            f"{words.key.format(f'{oldest} + i * 1000')}, {words.content}, 1.0",
            "i",
        ),
        (
            "state (module, author, state)",
            size.states,
            f"'{MODULE}', 'user' || i || '@example.com', 'START'",
            words.mixed,
        ),
        (
            "tasks (kind, name, payload, made_at, due_at, attempts, last_error)",
            size.timers,
            f"'timer', {words.digest}, '{{}}', {now}, {now} + 86400 + i, 0, ''",
            "i",
        ),
        (
            "outbox (id, source, message_id, sender, recipients, conversation, smtputf8, content,"
            " created_at, attempts, due_at, lease_owner, lease_until, last_error)",
            size.waiting,
            "i, 'x', '<' || i || '@test.com>', 'support@test.com',"
            " '[\"user' || i || '@example.com\"]',"
            f" 'support.' || lower({words.digest}) || '@test.com user' || i || '@example.com',"
            f" false, {words.message}, {now}, 3, {now} + 3600 + i / 1000.0, '', 0,"
            " 'it is down'",
            "i",
        ),
    ):
        rows = words.numbers.format(number)
        # PostgreSQL and SQLite sort nothing where the numbers come in that order.
        ordered = "" if order == "i" else f" ORDER BY {order}"
        execute(f"INSERT INTO lamson_{into} SELECT {values} FROM {rows}{ordered}")
