"""`lamson syncdb`: the tables of a project, and whether they are what its models say."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from lamson import private
from lamson.cli.options import ask, command, option, settings
from lamson.cli.options import project as current_project
from lamson.errors import LamsonError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.storage.database import Database

DIFFERENT = 1
_PATIENCE = 60  # seconds; a server that has just been started on a busy machine takes its time


@command("syncdb")
@option(
    "revise",
    metavar="MESSAGE",
    help="Instead write a new migration: what app/model.py has and the database has not.",
)
@option("check", is_flag=True, help="Instead compare models, migrations and database.")
@option(
    "downgrade",
    metavar="REVISION",
    help="Instead undo the project's migrations after this one, or all after `base`; asks first.",
)
@option("FORCE", is_flag=True, help="Downgrade without asking.")
def syncdb_command(revise: str | None, check: bool, downgrade: str | None, force: bool) -> int:
    """Create or upgrade the tables: those of lamson, then those of the project (migrations/).

    With -check nothing is written: each difference between the models and the database is a line,
    and the status is 1 where there is one. `lamson start` warns of them. What a downgrade drops is
    lost; lamson's own tables are never downgraded.

    \b
    Example:
      lamson syncdb
      lamson syncdb -revise "lists have owners"
      lamson syncdb -check
    """
    from lamson.service import premises
    from lamson.settings.loading import placing
    from lamson.storage.database import Database

    if (revise is not None) + check + (downgrade is not None) > 1:
        raise click.UsageError("expected one of -revise, -check and -downgrade")
    directory, effective = current_project(), settings()
    if effective.database is None:
        raise SettingsError(f"{directory}/config/settings.py: database: there is none to create")
    for text in premises.enter(directory, effective):
        click.echo(f"lamson: {text}", err=True)
    if not check:
        premises.make_database(effective)
    with placing(directory):
        database = Database(effective.database, connect_timeout=_PATIENCE)
    migrations = directory / "migrations"
    try:
        if check:
            return _check(database, migrations)
        if revise is not None:
            _revise(database, migrations, revise)
        elif downgrade is not None:
            _downgrade(database, migrations, downgrade, force=force)
        else:
            _upgrade(database, migrations)
    finally:
        database.close()
    return os.EX_OK


def _upgrade(database: Database, migrations: Path) -> None:
    from lamson.storage import migrate, revisions

    _report("lamson's", *migrate.upgrade_ours(database))
    if (migrations / "env.py").is_file():
        _report("the project's", *migrate.upgrade(database, migrations, revisions.TABLE))


def _report(whose: str, before: str, after: str) -> None:
    if before == after:
        click.echo(f"{whose} tables are up to date ({after or 'no migrations'})")
    else:
        click.echo(f"{whose} tables: {before or 'none'} -> {after or 'none'}")


def _revise(database: Database, migrations: Path, message: str) -> None:
    from lamson.storage import migrate, revisions

    with private.shared():  # source, as the rest of the project is
        written = migrate.revise(database, migrations, message, revisions.TABLE)
    click.echo(f"wrote {written}" if written else "the database has all that the models say")


def _downgrade(database: Database, migrations: Path, revision: str, *, force: bool) -> None:
    from lamson.storage import migrate, revisions

    if not (migrations / "env.py").is_file():
        raise SettingsError(f"{migrations}: expected env.py, as lamson gen makes it")
    if not force:
        migrate.check_below(database, migrations, revisions.TABLE, revision)
        ask(f"Undo what migrations did after {revision} in {database}?")
    found = migrate.downgrade(database, migrations, revisions.TABLE, revision)
    _report("the project's", *found)


def _check(database: Database, migrations: Path) -> int:
    from lamson.storage import migrate, revisions

    found = {"lamson's": migrate.differences_of_ours(database)}
    if (migrations / "env.py").is_file():
        found["the project's"] = migrate.differences(database, migrations, revisions.TABLE)
    for whose, lines in found.items():
        for line in lines:
            click.echo(f"{whose} tables: {line}")
        if not lines:
            click.echo(f"{whose} tables are what the models say")
    return DIFFERENT if any(found.values()) else os.EX_OK


def warnings(directory: Path) -> list[str]:
    """What `lamson start` says of the project's tables: where they are not as its models say.

    In a process of its own, since that imports the models and Alembic; the supervisor must not. []
    where it cannot be told: what is wrong then stops the start, or syncdb says it.
    """
    if not (directory / "migrations" / "env.py").is_file():
        return []
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            with open(writing, "w", encoding="utf-8") as pipe:
                json.dump(_differences(directory), pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8", errors="replace") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    lines = json.loads(said) if said else []
    return [
        f"the project's tables are not what its models say: {line}; `lamson syncdb -check` shows"
        " all, `lamson syncdb -revise MESSAGE` writes a migration"
        for line in lines[:1]
    ]


def _differences(directory: Path) -> list[str]:
    from lamson.settings.loading import placing
    from lamson.storage import migrate, revisions
    from lamson.storage.database import Database

    try:
        effective = settings()
        if effective.database is None:
            return []
        with placing(directory):
            database = Database(effective.database)
        try:
            return migrate.differences(database, directory / "migrations", revisions.TABLE)
        finally:
            database.close()  # workers are forked next: SQLite's locks would not hold there
    except (LamsonError, ImportError):
        return []
