"""Creates and upgrades the tables: ours by our migrations, the project's by its own.

For `lamson syncdb`. Each step runs in one transaction where the database can do that, and waits for
another node that does the same. A database that a newer version made is left alone. Alembic is
imported here only.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from lamson import models
from lamson.errors import DatabaseError, UnavailableError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lamson.db import Database

OURS = Path(__file__).parent / "migrations"


def upgrade(database: Database, migrations: Path, version_table: str) -> tuple[str, str]:
    """Run the migrations in the directory ``migrations``; gives the revisions before and after.

    "" stands for no revision at all. Raises DatabaseError when the database is at a revision that
    the directory does not know, UnavailableError when it does not answer.
    """
    config = _config(migrations)
    try:
        with database.engine.begin() as connection:
            if not database.is_sqlite:  # whose transaction locks everything
                _wait_for_turn(connection)
            before = _revision(connection, version_table)
            _check_known(config, before, database)
            config.attributes["connection"] = connection
            with contextlib.redirect_stdout(io.StringIO()):
                command.upgrade(config, "head")
            return before, _revision(connection, version_table)
    except DBAPIError as error:
        raise UnavailableError(f"database {database} cannot be used: {error.orig}") from error


def upgrade_ours(database: Database) -> tuple[str, str]:
    """Create or upgrade the framework's own tables (see `upgrade`)."""
    return upgrade(database, OURS, models.VERSION_TABLE)


def revise(database: Database, migrations: Path, message: str) -> Path | None:
    """Write a new migration from the difference between models and database; gives its file.

    None, and no file, where there is no difference.
    """
    config = _config(migrations)

    def skip_empty(context: object, revision: object, directives: list[Any]) -> None:
        if directives[0].upgrade_ops.is_empty():
            directives.clear()

    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        with contextlib.redirect_stdout(io.StringIO()):
            script = command.revision(
                config, message, autogenerate=True, process_revision_directives=skip_empty
            )
    if not script:
        return None
    if isinstance(script, list):
        raise DatabaseError(f"{migrations}: expected one head, found several")
    return Path(script.path)


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


def _check_known(config: Config, revision: str, database: Database) -> None:
    if not revision:
        return
    try:
        ScriptDirectory.from_config(config).get_revision(revision)
    except CommandError as error:
        raise DatabaseError(
            f"database {database} is at schema {revision}, which this version does not know: "
            "it was made by a newer one; upgrade this one"
        ) from error
