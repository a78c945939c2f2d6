"""The tables of a project: what migrations and models that cannot be used come to."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from lamson.cli.project import SKELETON
from lamson.errors import DatabaseError, LamsonError, SettingsError, UnavailableError
from lamson.storage import migrate, scheduled, tables
from lamson.storage.database import Database
from lamson.storage.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLE = "alembic_version"
ENV = """\
import sqlalchemy as sa
from alembic import context

metadata = sa.MetaData()
sa.Table("one", metadata, sa.Column("id", sa.Integer, primary_key=True))
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/one.db")
    yield database
    database.close()


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    migrations = tmp_path / "migrations"
    (migrations / "versions").mkdir(parents=True)
    (migrations / "env.py").write_text(ENV)
    shutil.copy(SKELETON / "migrations" / "script.py.mako", migrations)
    return migrations


def refused(database: Database, migrations: Path, *, revise: bool = False) -> LamsonError:
    try:
        if revise:
            migrate.revise(database, migrations, "again", TABLE)
        else:
            migrate.upgrade(database, migrations, TABLE)
    except LamsonError as error:
        return error
    pytest.fail("nothing was refused")


def test_a_migration_is_written_and_run(database: Database, migrations: Path) -> None:
    written = migrate.revise(database, migrations, "one", TABLE)
    assert written is not None
    before, after = migrate.upgrade(database, migrations, TABLE)
    assert before == ""
    assert written.name == f"{after}_one.py"
    assert migrate.revise(database, migrations, "nothing", TABLE) is None


def test_a_migration_has_to_run_before_the_next_is_written(
    database: Database, migrations: Path
) -> None:
    migrate.revise(database, migrations, "one", TABLE)
    error = refused(database, migrations, revise=True)
    assert isinstance(error, DatabaseError)
    assert str(error).endswith(
        f"one.db lacks migrations that {migrations}/versions has: run `lamson syncdb` first"
    )


@pytest.mark.parametrize("revise", [False, True])
def test_two_last_migrations(database: Database, migrations: Path, revise: bool) -> None:
    for name in ("a", "b"):
        (migrations / "versions" / f"{name}.py").write_text(
            f"revision = {name!r}\ndown_revision = None\ndef upgrade(): pass\n"
        )
    error = refused(database, migrations, revise=revise)
    assert isinstance(error, SettingsError)
    assert str(error) == (
        f"{migrations}/versions: a and b are last, each by itself: expected one, which has the"
        " other as its down_revision"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = (", "migrations/versions/a.py:1: SyntaxError: '(' was never closed (a.py, line 1)"),
        ("\n1 / 0", "migrations/versions/a.py:2: ZeroDivisionError: division by zero"),
        (
            "revision = 'a'\ndown_revision = None\ndef upgrade():\n    int('x')",
            "migrations/versions/a.py:4: ValueError: invalid literal for int() with base 10: 'x'",
        ),
    ],
)
def test_a_migration_that_cannot_be_used(
    database: Database, migrations: Path, code: str, said: str
) -> None:
    (migrations / "versions" / "a.py").write_text(code)
    error = refused(database, migrations)
    assert isinstance(error, SettingsError)
    assert str(error).removeprefix(f"{migrations.parent}/") == said
    assert error.exit_code == os.EX_CONFIG


def test_a_migration_after_one_that_is_not_there(database: Database, migrations: Path) -> None:
    (migrations / "versions" / "a.py").write_text("revision = 'a'\ndown_revision = 'gone'\n")
    assert str(refused(database, migrations)) == (
        f"{migrations}/versions: 'gone' is a down_revision, and there is no such migration"
    )


def test_models_that_cannot_be_used(database: Database, migrations: Path) -> None:
    (migrations / "env.py").write_text("\n\nimport no_such_model\n")
    error = refused(database, migrations, revise=True)
    assert str(error) == (
        f"{migrations}/env.py:3: ModuleNotFoundError: No module named 'no_such_model'"
    )


def test_a_project_without_migrations(database: Database, tmp_path: Path) -> None:
    error = refused(database, tmp_path / "migrations", revise=True)
    assert str(error).endswith("migrations: expected env.py, as lamson gen makes it")


def test_a_database_of_a_newer_version(database: Database, migrations: Path) -> None:
    written = migrate.revise(database, migrations, "one", TABLE)
    assert written is not None
    revision = migrate.upgrade(database, migrations, TABLE)[1]
    written.unlink()
    error = refused(database, migrations)
    assert isinstance(error, DatabaseError)
    assert f"is at schema {revision}, which is not in {migrations}/versions" in str(error)
    with pytest.raises(DatabaseError, match="it was made by a newer one; upgrade this one"):
        migrate.upgrade(database, migrate.OURS, TABLE)


def test_mail_that_waits_outlives_the_upgrades(empty_database: Database) -> None:
    """From before anything was sent later, tracked or belonged to a thread."""
    row = (
        "INSERT INTO lamson_outbox (id, source, message_id, sender, recipients, conversation,"
        " smtputf8, content, created_at, attempts, due_at, lease_owner, lease_until, last_error,"
        " shared) VALUES (:id, '4Qz', '<x@test>', 'l@test.com', '[\"zed@example.com\"]',"
        " 'l@test.com zed@example.com', false, :content, 1, 2, 3, '', 0, 'busy', :shared)"
    )
    with empty_database.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(migrate.OURS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        connection.execute(text("INSERT INTO lamson_content VALUES (7, :x)"), {"x": b"shared"})
        for id, content, shared in ((1, b"own", 0), (2, b"", 7)):
            values = {"id": id, "content": content, "shared": shared}
            connection.execute(text(row), values)
    assert migrate.upgrade_ours(empty_database) == ("0006", tables.SCHEMA_REVISION)
    empty_database.check()
    outbox = Outbox(empty_database, "test")
    outbox.held.begin_look()
    found = outbox.claim(10)
    assert [(one.id, one.content, one.envid, one.attempts) for one in found] == [
        (1, b"own", "", 2),
        (2, b"shared", "", 2),
    ]
    outbox.held.end_claim()
    due_at = time.time() + 3600
    with empty_database.begin() as connection:
        later = replace(found[0], due_at=due_at, content=b"later", scope="users")
        assert outbox.insert(connection, [later]) == []
        assert scheduled.promote(connection, due_at + 1, 10, lambda number: 9) == 1
    assert [one.id for one in outbox.all()] == [1, 2, 9]


@pytest.mark.parametrize("revise", [False, True])
def test_a_database_that_does_not_answer(migrations: Path, revise: bool) -> None:
    database = Database(f"sqlite:///{migrations}/nowhere/one.db")
    assert isinstance(refused(database, migrations, revise=revise), UnavailableError)


def test_a_mistake_of_ours_is_not_hidden(
    database: Database, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise ValueError("ours")

    monkeypatch.setattr("lamson.storage.migrate.command.upgrade", fails)
    with pytest.raises(ValueError, match="ours"):
        migrate.upgrade(database, migrations, TABLE)
