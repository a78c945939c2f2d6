"""lamson.storage.schedules: how each schedule ran last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.storage import schedules
from lamson.storage.schedules import Ran

if TYPE_CHECKING:
    from lamson.storage.database import Database


def test_runs_and_failures_are_counted(database: Database) -> None:
    with database.begin() as connection:
        schedules.record(connection, "digest", 10.0, 0.5)
        schedules.record(connection, "digest", 20.0, 0.25, "broken")
        schedules.record(connection, "digest", 30.0, 0.25, "broken\0still")
        assert schedules.all_of(connection) == {
            "digest": Ran("digest", 30.0, 0.25, "broken?still", 3, 2)
        }
        schedules.record(connection, "digest", 40.0, 1.0)
        assert schedules.all_of(connection)["digest"] == Ran("digest", 40.0, 1.0, "", 4, 0)
        schedules.forget(connection, [])
        schedules.forget(connection, ["digest"])
        assert schedules.all_of(connection) == {}
