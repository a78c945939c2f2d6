"""tests.bench.scale_fill: its rows are such as the product writes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import text

from lamson.storage import seen
from lamson.storage.outbox import Outbox
from lamson.storage.seen_key import Source, time_prefix
from lamson.storage.state import listed
from tests.bench.scale_fill import MODULE, Size, fill

if TYPE_CHECKING:
    from lamson.storage.database import Database


def test_rows_are_as_the_product_writes_them(database: Database) -> None:
    fill(database, Size(keys=20, states=20, waiting=20, timers=20, routes=0))
    key = Source(b"queue-id:x", time.time_ns() // 1000, b"c" * 16).key("a@x.com", "b@test.com")
    with database.begin() as connection:
        assert seen.claim(connection, [key], 2.0) == {key: key.entry}
        rows = connection.execute(text("SELECT key, content FROM lamson_seen ORDER BY key")).all()
        names = connection.execute(text("SELECT name FROM lamson_tasks")).scalars().all()
        states = listed(connection, module=MODULE)
    assert [(len(row.key), len(row.content)) for row in rows] == [(24, 16)] * 21
    assert bytes(rows[-1].key) == key.entry
    assert all(bytes(row.key) > time_prefix(10**15) for row in rows)
    assert len(set(names)) == 20
    assert {state for _, state in states} == {"START", "SECOND"}
    waiting = Outbox(database, "test").all()
    assert len({row.conversation for row in waiting}) == 20
    assert Outbox(database, "test").claim(100) == []
