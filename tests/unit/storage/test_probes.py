"""lamson.storage.probes: few rows, each once, for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from lamson.storage import probes
from lamson.storage.database import Database

if TYPE_CHECKING:
    from pathlib import Path


def test_each_is_kept_once_and_forgotten_in_time(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/one.db")
    database.create_all()
    with database.begin() as connection, Session(connection) as db:
        assert probes.keep(db, "one", "first", until=100.0, now=50.0)
        assert not probes.keep(db, "one", "second", until=100.0, now=50.0)
        assert probes.read(connection, "one") == "first"
        assert probes.read(connection, "two") is None
        for number in range(probes.MOST):
            probes.keep(db, f"other {number}", "x", until=200.0, now=50.0)
        assert not probes.keep(db, "too many", "x", until=200.0, now=50.0)
        assert probes.keep(db, "later", "x", until=200.0, now=150.0), "the first is forgotten"
        assert probes.read(connection, "one") is None
        assert probes.purge(connection, 300.0, 2 * probes.MOST) == probes.MOST
        assert probes.error_of_answer(connection, "<x@app.test>") is None
    database.close()
