"""Creates and upgrades the tables: ours by our migrations, the project's by its own.

For `lamson syncdb`. Each step runs in one transaction where the database can do that, and waits for
another node that does the same. A database that a newer version made is left alone. What is wrong
with the project's own migrations and models is one line with file and line. Alembic is imported
here only.
"""

from __future__ import annotations

import contextlib
import io
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from lamson.errors import DatabaseError, LamsonError, SettingsError
from lamson.storage import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

    from lamson.storage.database import Database

OURS = Path(__file__).parent / "migrations"


def upgrade(database: Database, migrations: Path, version_table: str) -> tuple[str, str]:
    """Run the migrations in the directory ``migrations``; gives the revisions before and after.

    "" stands for no revision at all. Raises DatabaseError when the database is at a revision that
    the directory does not know, UnavailableError when it does not answer, SettingsError when the
    migrations or the models cannot be used.
    """
    config = _config(migrations)
    with _complaints(database, migrations):
        _last(config)
    with _complaints(database, migrations), database.engine.begin() as connection:
        if not database.is_sqlite:  # whose transaction locks everything
            _wait_for_turn(connection)
        before = _revision(connection, version_table)
        _check_known(config, before, database)
        config.attributes["connection"] = connection
        with contextlib.redirect_stdout(io.StringIO()):
            command.upgrade(config, "head")
        return before, _revision(connection, version_table)


def upgrade_ours(database: Database) -> tuple[str, str]:
    """Create or upgrade the framework's own tables (see `upgrade`)."""
    return upgrade(database, OURS, tables.VERSION_TABLE)


def revise(database: Database, migrations: Path, message: str, version_table: str) -> Path | None:
    """Write a new migration from the difference between models and database; gives its file.

    None, and no file, where there is no difference. Raises DatabaseError where the database lacks
    migrations that there are already, and what `upgrade` raises.
    """
    if not (migrations / "env.py").is_file():
        raise SettingsError(f"{migrations}: expected env.py, as lamson gen makes it")
    config = _config(migrations)

    def skip_empty(context: object, revision: object, directives: list[Any]) -> None:
        if directives[0].upgrade_ops.is_empty():
            directives.clear()

    with _complaints(database, migrations), database.engine.begin() as connection:
        if _revision(connection, version_table) != _last(config):
            raise DatabaseError(
                f"database {database} lacks migrations that {_directory(config)} has: run"
                " `lamson syncdb` first"
            )
        config.attributes["connection"] = connection
        with contextlib.redirect_stdout(io.StringIO()):
            script = command.revision(
                config, message, autogenerate=True, process_revision_directives=skip_empty
            )
    if not script:
        return None
    assert not isinstance(script, list)  # there is one last migration
    return Path(script.path)


@contextlib.contextmanager
def _complaints(database: Database, migrations: Path) -> Iterator[None]:
    """Say in one line what is wrong with the database, or with what the project's files do."""
    try:
        yield
    except LamsonError:
        raise
    except DBAPIError as error:
        raise database.unavailable(error) from error
    except CommandError as error:
        raise SettingsError(f"{migrations}: {error}") from error
    except Exception as error:
        where = _place(error, migrations.parent)
        if where is None:
            raise
        raise SettingsError(f"{where}: {type(error).__name__}: {error}") from error


def _place(error: Exception, project: Path) -> str | None:
    """File and line of the project's innermost code that the error came through."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    for name, line in reversed(places):
        file = Path(name)
        # Its environment may lie in its directory.
        if file.is_relative_to(project) and not file.is_relative_to(sys.prefix):
            return f"{file}:{line or 1}"
    return None


def _wait_for_turn(connection: Connection) -> None:
    """Lock out other nodes that migrate, until the end of the transaction."""
    connection.execute(text("SET LOCAL lock_timeout = '5min'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('lamson syncdb'))"))
    connection.execute(text("SET LOCAL lock_timeout TO DEFAULT"))


def _config(migrations: Path) -> Config:
    config = Config()
    # ConfigParser would take a percent sign in the path for an interpolation.
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection, version_table: str) -> str:
    context = MigrationContext.configure(connection, opts={"version_table": version_table})
    return context.get_current_revision() or ""


def _directory(config: Config) -> str:
    return ScriptDirectory.from_config(config).versions


def _last(config: Config) -> str:
    """The last migration, "" where there is none. Raises SettingsError where there are several."""
    try:
        with warnings.catch_warnings(action="ignore"):
            heads = sorted(ScriptDirectory.from_config(config).get_heads())
    except KeyError as error:
        raise SettingsError(
            f"{_directory(config)}: {error} is a down_revision, and there is no such migration"
        ) from error
    if len(heads) > 1:
        raise SettingsError(
            f"{_directory(config)}: {' and '.join(heads)} are last, each by itself: expected one,"
            " which has the other as its down_revision"
        )
    return heads[0] if heads else ""


def _check_known(config: Config, revision: str, database: Database) -> None:
    if not revision:
        return
    script = ScriptDirectory.from_config(config)
    try:
        script.get_revision(revision)
    except CommandError as error:
        problem = "this version does not know: it was made by a newer one; upgrade this one"
        if Path(script.dir) != OURS:
            problem = (
                f"is not in {_directory(config)}: a newer version of the project made it, or the"
                " file was deleted"
            )
        raise DatabaseError(
            f"database {database} is at schema {revision}, which {problem}"
        ) from error
