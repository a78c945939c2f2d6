"""`lamson gen` makes a project."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import click

from lamson import private
from lamson.cli import begin
from lamson.cli.options import command, option
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Iterator

SKELETON = begin.SKELETONS / "project"
MILTER = begin.SKELETONS / "milter"
_HANDLERS = re.compile(r"^    handlers=.*\n", re.MULTILINE)
_FILTERS = """\
    # What the milter asks, at unix:sockets/milter.sock; it needs `lamson-postfix[milter]`.
    filters=["app.filters.sample"],
"""
_PRIVATE = ("run", "logs")  # directories for their user alone

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_CACHES = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
_SERVICE = "__service__"  # in names of files of a skeleton
# What systemd lets a user be called (its "User/Group Name Syntax"); a unit has more freedom.
_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,30}")
_NEXT = """\
made {project}; now:
  cd {project}
  lamson syncdb
  lamson start
  lamson log -queue run/queue -port 8899
  pytest
"""


@command("gen")
@option("project", metavar="NAME", required=True, help="The directory to make; its name names it.")
@option(
    "from",
    dest="source",
    metavar="EXAMPLE",
    help=f"Begin with a whole application, or without a sample: {', '.join(begin.names())}.",
)
@option("FORCE", is_flag=True, help="Write into a directory that has files; replace those of ours.")
@option("milter", is_flag=True, help="Add a sample filter, its test and its settings.")
def gen_command(project: str, source: str | None, force: bool, milter: bool) -> None:
    """Make a new project: a mail application that works, with its tests.

    \b
    Example:
      lamson gen -project mymailserver
      lamson gen -from helpdesk -project mydesk
    """
    directory = Path(project)
    if not _NAME.fullmatch(directory.name):
        raise click.BadParameter(
            f"{directory.name!r} is no name for a project: letters, digits, '-', '_' and '.', "
            "a letter first",
            param_hint="-project",
        )
    begins_with = begin.directory(source)
    with private.shared():
        generate(directory, SKELETON, force=force)
        generate(directory, begins_with, force=True)
        begin.settle(directory)
        if milter:
            generate(directory, MILTER, force=True)
    for name in _PRIVATE:
        (directory / name).chmod(0o700)
    if milter:
        file = directory / "config" / "settings.py"
        text = file.read_text(encoding="utf-8")
        text = _HANDLERS.sub(lambda found: found[0] + _FILTERS, text)
        file.write_text(text, encoding="utf-8")
    click.echo(_NEXT.format(project=project), nl=False)
    if (begins_with / "README.md").is_file():
        click.echo("what it is, and what else it needs: README.md")


def generate(directory: Path, skeleton: Path, *, force: bool = False) -> None:
    """Write the skeleton to ``directory``.

    Files called ``*.tmpl`` lose that ending and get ``${project}`` filled in, and ``${service}``,
    which names of files have as ``__service__``; the others are copied as they are. Raises
    LamsonError (EX_CANTCREAT) for a directory that has files, unless forced, or that cannot be
    written; (EX_NOPERM) for one that another user could lay links in.
    """
    try:
        if not force and directory.exists() and any(directory.iterdir()):
            raise LamsonError(
                f"{directory}: has files already; -FORCE writes into it", exit_code=os.EX_CANTCREAT
            )
        directory.mkdir(parents=True, exist_ok=True)
        _check_ours(directory)
        service = service_name(directory.name)
        for source in _files(skeleton):
            inside = Path(str(source.relative_to(skeleton)).replace(_SERVICE, service))
            target = directory / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            for part in (*reversed(inside.parents[:-1]), inside.with_suffix("")):
                _check_ours(directory / part)
            _check_ours(target)
            if source.suffix == ".tmpl":
                text = Template(source.read_text(encoding="utf-8"))
                target.with_suffix("").write_text(
                    text.substitute(project=directory.name, service=service), encoding="utf-8"
                )
            else:
                shutil.copyfile(source, target)
    except OSError as error:
        raise LamsonError(
            f"{error.filename}: {error.strerror}", exit_code=os.EX_CANTCREAT
        ) from None


def service_name(project: str) -> str:
    """What the unit and the user of a project are called, so that several live on one machine."""
    name = f"lamson-{project}"
    if _USER_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(project.encode()).hexdigest()[:4]
    return f"{name.replace('.', '-')[:26]}-{digest}"


def _check_ours(path: Path) -> None:
    """A link counts, and so does what it leads to."""
    for look in (os.lstat, os.stat):
        try:
            problem = private.flaw(look(path))
        except FileNotFoundError:
            return
        if problem:
            raise LamsonError(
                f"{path}: {problem}, so no project is made in it", exit_code=os.EX_NOPERM
            )


def _files(skeleton: Path) -> Iterator[Path]:
    for path in sorted(skeleton.rglob("*")):
        inside = path.relative_to(skeleton).parts
        is_left_behind = inside[0] in _PRIVATE and path.name != ".gitignore"  # by who ran it there
        if path.is_file() and not is_left_behind and not _CACHES.intersection(inside):
            yield path
