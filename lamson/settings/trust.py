"""Whose project is run: its own user's or root's, else nobody's.

For `lamson.settings.loading`, before the first line of a project is run. Whoever starts a command
below a directory that others can write to would run what they put there (as with git,
CVE-2022-24765). What is not to be trusted is a LamsonError (EX_NOPERM) that says what it is, and
how to go on.
"""

from __future__ import annotations

import os
import shlex
import stat
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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
    """Whether this one is named, by whatever path leads there."""
    named = Path(os.environ.get(SAFE, ""))
    return named.is_absolute() and named.resolve() == project


def _code(project: Path) -> Iterator[Path]:
    for path in sorted(project.iterdir()):
        if path.suffix == ".py":
            yield path
        elif path.is_dir() and (path.name in _ALWAYS or _is_package(path)):
            yield from _tree(path)


def _is_package(directory: Path) -> bool:
    with suppress(PermissionError):  # closed to us, as another user's `run` is
        return (directory / "__init__.py").exists()
    return False


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
    if flaw := _flaw(path):
        raise LamsonError(
            f"{path}: {flaw.problem}, so it is not run; {_remedy(flaw.status, project)}",
            exit_code=os.EX_NOPERM,
        )


class _Flaw(NamedTuple):
    problem: str
    status: os.stat_result
    place: Path  # what has it: a symbolic link may lead there


def _flaw(path: Path) -> _Flaw | None:
    """A symbolic link and what it leads to both count."""
    try:
        status = os.lstat(path)
        problem = private.flaw(status)
        if not problem and stat.S_ISLNK(status.st_mode):
            status = os.stat(path)
            problem = private.flaw(status)
            path = path.resolve()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    return _Flaw(problem, status, path) if problem else None


def _remedy(status: os.stat_result, project: Path) -> str:
    """The way out, in commands that leave the directories of the service as they are."""
    if status.st_uid in private.trusted_users():
        return f"chmod it: {_command('chmod', 'go-w', project, is_owned=True)}"
    if os.geteuid() == 0:
        taken = _command("chown", "root", project, is_owned=False)
        return f"be that user: {private.become(status)} lamson ..., or, if you trust it: {taken}"
    return f"if it is yours all the same: {SAFE}={project}"


def _command(name: str, what: str, project: Path, *, is_owned: bool) -> str:
    """One for all flaws of that kind, so that nobody meets them one by one."""
    alone, trees = set(), set()
    with suppress(OSError, SettingsError):
        for path in (project, *(project / name for name in _SETTINGS), *_code(project)):
            flaw = _flaw(path)
            if flaw is None or (flaw.status.st_uid in private.trusted_users()) != is_owned:
                continue
            if project in flaw.place.parents:
                trees.add(project / flaw.place.relative_to(project).parts[0])
            else:
                alone.add(flaw.place)
    parts = ((f"{name} {what}", alone), (f"{name} -R {what}", trees))
    return "; ".join(
        f"{words} {' '.join(shlex.quote(str(path)) for path in sorted(paths))}"
        for words, paths in parts
        if paths
    )
