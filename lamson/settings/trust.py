"""Whose project is run: its own user's or root's, else nobody's.

For `lamson.settings.loading`, before the first line of a project is run. Whoever starts a command
below a directory that others can write to would run what they put there (as with git,
CVE-2022-24765). What is not to be trusted is a LamsonError (EX_NOPERM) that says what it is, and
how to go on.
"""

from __future__ import annotations

import os
import stat
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from lamson import private
from lamson.errors import LamsonError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SAFE = "LAMSON_SAFE_PROJECT"  # a project that is run whoever may change it
_SETTINGS = ("config", "config/settings.py")
_ALWAYS = ("app", "config", "migrations")  # have code, though no __init__.py says so


def check_settings(project: Path) -> None:
    """The project's directory and its settings file. Raises LamsonError."""
    if _is_safe(project):
        return
    for path in (project, *(project / name for name in _SETTINGS)):
        _check(path, project)
    for above in project.parents:
        # Whoever can write there can exchange the project after it was looked at.
        if above.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            raise LamsonError(
                f"{above}: everybody can write to it, so {project} is not run;"
                " chmod it: o-w, or +t",
                exit_code=os.EX_NOPERM,
            )


def check_code(project: Path) -> None:
    """All that, and what can be imported from the project, its templates and migrations.

    Raises SettingsError where that cannot be looked at.
    Directories of data, such as ``run``, belong to the user of the service, as they should.
    """
    project = project.resolve()
    check_settings(project)
    _check_all(_code(project), project)


def check_named(project: Path, modules: Iterable[str], directories: Iterable[Path]) -> None:
    """What the settings name as code, wherever it lies: packages without an ``__init__.py``, and
    directories of templates, which hold Python too. Raises as `check_code`.
    """
    project = project.resolve()
    packages = [project / module.partition(".")[0] for module in modules]
    found = (one for one in (*packages, *directories) if one.is_dir())
    _check_all(chain.from_iterable(map(_tree, found)), project)


def _check_all(paths: Iterable[Path], project: Path) -> None:
    if _is_safe(project):
        return
    try:
        for path in paths:
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
