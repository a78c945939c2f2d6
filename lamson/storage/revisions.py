"""Whether the database has the project's own migrations, told without Alembic.

For `app`: each worker looks when it starts, and with Alembic its imports would take it half as long
again. So the migrations' source is read, not run. Where that does not tell the one last migration,
since an id is computed or there are several ends, nothing is said: `lamson syncdb` does that.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import sqlalchemy

from lamson import log
from lamson.errors import DatabaseError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection

TABLE = "alembic_version"  # it holds the revision of the project's own tables


def check(connection: Connection, migrations: Path, database: str) -> None:
    """Raise DatabaseError where ``database`` lacks a migration of the directory ``migrations``.

    One that the directory does not have is warned of only: while the nodes of a new version
    replace the old ones, the old ones go on.
    """
    below = _read(migrations) if (migrations / "env.py").is_file() else {}
    ends = below.keys() - {one for several in below.values() for one in several}
    if len(ends) != 1:
        return
    there: set[str] = set()
    if sqlalchemy.inspect(connection).has_table(TABLE):
        there.update(connection.scalars(sqlalchemy.text(f"SELECT version_num FROM {TABLE}")))
    if unknown := there - below.keys():
        log.logger.warning(
            "database %s is at %s, which is not in %s", database, ", ".join(unknown), migrations
        )
    elif not ends <= there:
        raise DatabaseError(
            f"database {database} lacks the migration {ends.pop()} of {migrations}:"
            " run `lamson syncdb`"
        )


def _read(migrations: Path) -> dict[str, tuple[str, ...]]:
    """By each revision those directly below it; {} where that cannot be read."""
    below: dict[str, tuple[str, ...]] = {}
    try:
        for file in migrations.glob("versions/*.py"):
            said = _assigned(ast.parse(file.read_bytes()))
            one = said.get("down_revision") or ()
            below[said["revision"]] = (one,) if isinstance(one, str) else tuple(one)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError):
        return {}
    is_whole = all(one in below for several in below.values() for one in several)
    return below if is_whole else {}


def _assigned(module: ast.Module) -> dict[str, Any]:
    """What the module sets `revision` and `down_revision` to. Raises ValueError for no literal."""
    said = {}
    for node in module.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and target.id in ("revision", "down_revision"):
                    said[target.id] = ast.literal_eval(node.value)
    return said
