"""lamson.storage.probes on a database that several nodes share: caught by one, read by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.orm import Session

from lamson.storage import probes
from lamson.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

pytestmark = pytest.mark.postgres


def test_each_is_kept_once_whatever_node_has_it(url: str, connection: Connection) -> None:
    nodes = [Database(url), Database(url)]
    kept = []
    for database in nodes:
        with database.begin() as one, Session(one) as db:
            kept.append(probes.keep(db, "one", '{"x": "\\u0000"}', until=100.0, now=50.0))
    assert kept == [True, False]
    assert probes.read(connection, "one") == '{"x": "\\u0000"}'
    assert probes.error_of_answer(connection, "<x@app.test>") is None
    assert probes.purge(connection, 200.0, 9) == 1
    for database in nodes:
        database.close()
