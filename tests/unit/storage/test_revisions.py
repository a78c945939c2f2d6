"""Whether a database has the project's migrations: as Alembic sees it, told without Alembic."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lamson.errors import DatabaseError
from lamson.storage import migrate, revisions
from lamson.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENVIRONMENT = """
from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path}/lamson.db")) as database:
        yield database


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    directory = tmp_path / "migrations"
    (directory / "versions").mkdir(parents=True)
    (directory / "env.py").write_text(ENVIRONMENT)
    return directory


def add(migrations: Path, revision: str, below: str) -> Path:
    file = migrations / "versions" / f"{revision}.py"
    head = f"revision: str = {revision!r}\ndown_revision = {below}\n"
    file.write_text(f"{head}def upgrade():\n    pass\n")
    return file


def check(database: Database, migrations: Path) -> None:
    with database.read() as connection:
        revisions.check(connection, migrations, str(database))


def test_pending_migrations_are_told(database: Database, migrations: Path) -> None:
    check(database, migrations)
    for revision, below in (("one", "None"), ("two", "'one'"), ("three", "('two',)")):
        add(migrations, revision, below)
        with pytest.raises(DatabaseError, match=rf"{revision} of .*/migrations: run `lamson sync"):
            check(database, migrations)
        migrate.upgrade(database, migrations, revisions.TABLE)
        check(database, migrations)


def test_a_newer_database_is_warned_of(
    database: Database, migrations: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An older version may be running while nodes are replaced one by one."""
    add(migrations, "one", "None")
    newer = add(migrations, "two", "'one'")
    migrate.upgrade(database, migrations, revisions.TABLE)
    assert not caplog.text
    newer.unlink()
    check(database, migrations)
    assert "is at two, which" in caplog.text


@pytest.mark.parametrize(
    ("revision", "below"),
    [("three", "'one'"), ("three", "'o' + 'ne'"), ("three", "'nowhere'"), ("three", "'two' :")],
)
def test_what_is_not_plain_is_left_to_alembic(
    database: Database, migrations: Path, revision: str, below: str
) -> None:
    add(migrations, "one", "None")
    add(migrations, "two", "'one'")
    migrate.upgrade(database, migrations, revisions.TABLE)
    add(migrations, revision, below)
    check(database, migrations)


def test_a_project_without_migrations(database: Database, migrations: Path) -> None:
    add(migrations, "one", "None")
    (migrations / "env.py").unlink()
    check(database, migrations)
