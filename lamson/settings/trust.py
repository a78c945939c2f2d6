"""Whose project is run: its own user's or root's, else nobody's.

For `lamson.settings.loading`, before the first line of a project is run. Whoever starts a command
below a directory that others can write to would run what they put there (as with git,
CVE-2022-24765). What is not to be trusted is a LamsonError (EX_NOPERM) that says what it is, and
how to go on.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from lamson import private
from lamson.errors import LamsonError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

SAFE = "LAMSON_SAFE_PROJECT"  # a project that is run whoever may change it
_SETTINGS = ("config", "config/settings.py")
_ALWAYS = ("app", "config", "migrations")  # have code, though no __init__.py says so


def check_settings(project: Path) -> None:
    """The project's directory and its settings file. Raises LamsonError."""
    if not _is_safe(project):
        for path in (project, *(project / name for name in _SETTINGS)):
            _check(path, project)


def check_code(project: Path) -> None:
    """All that, and what can be imported from the project, its templates and migrations.

    Raises SettingsError where that cannot be looked at.
    Directories of data, such as ``run``, belong to the user of the service, as they should.
    """
    project = project.resolve()
    check_settings(project)
    if _is_safe(project):
        return
    try:
        for path in _code(project):
            _check(path, project)
    except OSError as error:
        raise SettingsError(f"{error.filename or project}: {error.strerror}") from error


def _is_safe(project: Path) -> bool:
    return os.environ.get(SAFE) == str(project)


def _code(project: Path) -> Iterator[Path]:
    for path in sorted(project.iterdir()):
        if path.suffix == ".py":
            yield path
        elif path.is_dir() and (path.name in _ALWAYS or (path / "__init__.py").exists()):
            yield from _tree(path)


def _tree(directory: Path) -> Iterator[Path]:
    yield directory
    for above, directories, files in os.walk(directory, onerror=_unless_closed):
        for name in (*directories, *files):
            yield Path(above, name)


def _unless_closed(error: OSError) -> None:
    """What is closed to us, as secrets may be, has no code that we could run."""
    if not isinstance(error, PermissionError):
        raise error


def _check(path: Path, project: Path) -> None:
    """A symbolic link and what it leads to both count."""
    try:
        status = os.lstat(path)
        problem = private.flaw(status)
        if not problem and stat.S_ISLNK(status.st_mode):
            status = os.stat(path)
            problem = private.flaw(status)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    if problem:
        raise LamsonError(
            f"{path}: {problem}, so it is not run; {_remedy(status, project)}",
            exit_code=os.EX_NOPERM,
        )


def _remedy(status: os.stat_result, project: Path) -> str:
    if status.st_uid in private.trusted_users():
        return "chmod it: g-w, o-w"
    name = private.owner(status).removeprefix("user ")
    if os.geteuid() == 0:
        return f"be that user: runuser -u {name} -- lamson ..., or chown -R root {project}"
    return f"if it is yours all the same: {SAFE}={project}"
