"""lamson.storage.seen_before: an upgrade, and what was handled before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from sqlalchemy import event, text

from lamson.storage import migrate, seen, seen_before
from lamson.storage.seen_before import SeenBefore
from lamson.storage.tables import seen_before as table
from tests.unit.support import make_key

if TYPE_CHECKING:
    import pytest

    from lamson.storage.database import Database

OLD, NEW = make_key(b"old", b"c" * 16), make_key(b"new", b"c" * 16)


def fill(database: Database, handled_at: float = 0.0) -> None:
    with database.begin() as connection:
        connection.execute(table.insert().values(key=OLD.without_time, handled_at=handled_at))


def test_what_an_earlier_version_handled_is_known_after_the_upgrade(
    empty_database: Database,
) -> None:
    config = migrate._config(migrate.OURS)
    with empty_database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO lamson_seen (key, handled_at) VALUES (:key, 7.0)"),
            {"key": OLD.without_time},
        )
    assert migrate.upgrade_ours(empty_database)[0] == "0001"
    with empty_database.begin() as connection:
        assert set(seen.claim(connection, [OLD, NEW], 8.0)) == {OLD, NEW}
        assert SeenBefore().among(connection, [OLD, NEW]) == {OLD}
        assert seen_before.purge(connection, 7.5 + seen.KEEP, 9) == 1


def test_none_is_asked_for_where_none_is_left(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_before, "LOOKUPS", 2)
    statements: list[str] = []
    event.listen(
        database.engine, "before_cursor_execute", lambda *about: statements.append(about[2])
    )
    fill(database)
    before = SeenBefore()
    with database.begin() as connection:
        assert before.among(connection, [NEW, OLD]) == {OLD}
        assert seen_before.purge(connection, 1.0 + seen.KEEP, 9) == 1
        for _ in range(2):
            assert before.among(connection, [OLD]) == set()
        statements.clear()
        assert before.among(connection, [OLD]) == SeenBefore().among(connection, []) == set()
    assert statements == []


def test_what_is_recent_is_not_purged(database: Database) -> None:
    fill(database, handled_at=2.0)
    with database.begin() as connection:
        assert seen_before.purge(connection, 1.0 + seen.KEEP, 9) == 0
