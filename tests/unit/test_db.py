"""lamson.db and lamson.schema: SQLite's transactions, and the tables' versions."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from lamson import models, schema
from lamson.db import Database
from lamson.errors import DatabaseError, UnavailableError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    yield database
    database.close()


def test_writers_do_not_overwrite_each_other(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE counter (value INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def count() -> None:
        for _ in range(50):
            with database.begin() as connection:
                value = connection.execute(text("SELECT value FROM counter")).scalar_one()
                connection.execute(text("UPDATE counter SET value = :v"), {"v": value + 1})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(text("SELECT value FROM counter")).scalar_one() == 200


def test_a_reader_takes_no_lock(database: Database) -> None:
    with database.begin() as writer:
        writer.execute(text("CREATE TABLE x (y INTEGER)"))
        with database.read() as reader:
            assert not inspect(reader).has_table("x")


def test_commits_reach_the_disk(database: Database) -> None:
    with database.read() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"


@pytest.mark.parametrize("url", ["nosuch://x/y", "not a url", "oracle://x"])
def test_an_unusable_url_is_one_clear_line(url: str) -> None:
    with pytest.raises(DatabaseError, match="cannot be used") as caught:
        Database(url)
    assert "\n" not in str(caught.value)


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"unable to open database file"):
        Database(f"sqlite:///{tmp_path}/no/such/directory.db").check()


def test_a_password_is_not_shown() -> None:
    pytest.importorskip("psycopg")
    assert "secret" not in str(Database("postgresql+psycopg://me:secret@localhost/x"))


def test_syncdb_makes_the_tables_once(database: Database) -> None:
    with pytest.raises(DatabaseError, match="run `lamson syncdb`"):
        database.check()
    assert schema.upgrade_ours(database) == ("", models.SCHEMA_REVISION)
    assert schema.upgrade_ours(database) == (models.SCHEMA_REVISION, models.SCHEMA_REVISION)
    database.check()


def test_the_migrations_make_the_tables_of_the_models(database: Database, tmp_path: Path) -> None:
    schema.upgrade_ours(database)
    other = create_engine("sqlite://")
    models.metadata.create_all(other)
    made, modelled = inspect(database.engine), inspect(other)
    for table in models.metadata.tables:
        assert [str(column) for column in made.get_columns(table)] == [
            str(column) for column in modelled.get_columns(table)
        ]
        assert made.get_indexes(table) == modelled.get_indexes(table)
        assert made.get_pk_constraint(table) == modelled.get_pk_constraint(table)
    other.dispose()


def test_the_newest_migration_is_the_one_we_check_for() -> None:
    script = ScriptDirectory(str(schema.OURS))
    assert script.get_current_head() == models.SCHEMA_REVISION


def test_a_newer_database_is_left_alone(database: Database) -> None:
    schema.upgrade_ours(database)
    with database.begin() as connection:
        connection.execute(text(f"UPDATE {models.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="made by a newer"):
        database.check()
    with pytest.raises(DatabaseError, match="made by a newer"):
        schema.upgrade_ours(database)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    path.write_bytes(b"this is not a database" * 100)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(UnavailableError, match="not a database"):
        database.check()
