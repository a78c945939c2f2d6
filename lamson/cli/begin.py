"""What `lamson gen` may begin with: the sample, nothing, or one of the examples.

An example is a project that works, in examples/ of the source, which is shipped in the package.
It is laid over what all projects have, and called as the new one is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from lamson.errors import LamsonError

_PACKAGE = Path(__file__).parents[1]
SKELETONS = _PACKAGE / "skeleton"
EXAMPLES = _PACKAGE / "examples"
EMPTY, SAMPLE = "empty", "sample"

_TITLE = re.compile(r"\A# .*")
# What a project has from the start, be there a file in it or not.
_ROOM = ("app/templates/mail", "migrations/versions", "tests/handlers")


def names() -> list[str]:
    """What the option ``-from`` takes."""
    found = EXAMPLES.iterdir() if EXAMPLES.is_dir() else []
    return sorted([EMPTY, *(one.name for one in found if (one / "config").is_dir())])


def directory(name: str | None) -> Path:
    """Where the files lie that a project begins with; without a name, those of the sample.

    Raises BadParameter (EX_USAGE) for a name that there is not.
    """
    if name is None:
        return SKELETONS / SAMPLE
    if name not in names():
        raise click.BadParameter(
            f"there is no {name!r}; there are {', '.join(names())}", param_hint="-from"
        )
    return SKELETONS / EMPTY if name == EMPTY else EXAMPLES / name


def settle(project: Path) -> None:
    """Make what else the new project needs: all its rooms, and its name in the README."""
    readme = project / "README.md"
    try:
        for room in _ROOM:
            (project / room).mkdir(parents=True, exist_ok=True)
        text = readme.read_text(encoding="utf-8")
        readme.write_text(_TITLE.sub(f"# {project.name}", text), encoding="utf-8")
    except OSError as error:
        raise LamsonError(
            f"{error.filename}: {error.strerror}", exit_code=os.EX_CANTCREAT
        ) from None
