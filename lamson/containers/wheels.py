"""Lamson and its dependencies as wheels for the image, so that building it needs no network.

That takes the Python of the image: where another one runs here, there is Lamson's own wheel alone,
and building fetches the rest. A pip that fails raises BuildError with pip's own words.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Sequence

PYTHON = (3, 11)  # of Debian 12
DISTRIBUTION = "lamson-postfix"  # on the package index, `lamson` is the program of 2013
EXTRAS = "postgres"
_EPOCH = "1000000000"


class BuildError(LamsonError):
    """An image, or what goes into it, could not be made."""


def collect(directory: Path, architecture: str, requirements: Sequence[str] = ()) -> bool:
    """Fill the empty ``directory`` with wheels for a machine such as ``x86_64``.

    ``requirements`` are more of them, for a project. True where that is all that is needed.
    """
    lamson = f"{DISTRIBUTION}[{EXTRAS}]=={metadata.version(DISTRIBUTION)}"
    if (source := source_tree()) is not None:
        _build(source, directory)
        (wheel,) = directory.glob("lamson_postfix-*.whl")
        lamson = f"{DISTRIBUTION}[{EXTRAS}] @ {wheel.resolve().as_uri()}"
    if not is_same_python(architecture):
        return False
    _pip("wheel", "--wheel-dir", str(directory), lamson, *requirements)
    return True


def is_same_python(architecture: str) -> bool:
    """Whether wheels for the Python that runs here are good in the image, too."""
    return (
        sys.platform == "linux"
        and sys.implementation.name == "cpython"
        and sys.version_info[:2] == PYTHON
        and platform.machine() == architecture
        and platform.libc_ver()[0] == "glibc"
    )


def source_tree() -> Path | None:
    """Where the source of this Lamson is; None where it came from an index."""
    beside = Path(__file__).parents[2]
    if (beside / "pyproject.toml").is_file():
        return beside
    origin = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    url = urlparse(json.loads(origin)["url"]) if origin else None
    found = Path(unquote(url.path)) if url is not None and url.scheme == "file" else None
    return found if found is not None and found.is_dir() else None


def _build(source: Path, directory: Path) -> None:
    # In a copy: setuptools takes up what an earlier build left in the tree.
    with tempfile.TemporaryDirectory(prefix="lamson-source-") as work:
        for path in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(source / path, work)
        packages = [found.parent for found in source.glob("lamson*/__init__.py")]
        for tree in (*packages, source / "postfix"):
            shutil.copytree(
                tree, Path(work) / tree.name, ignore=shutil.ignore_patterns("__pycache__")
            )
        _pip("wheel", "--no-deps", "--wheel-dir", str(directory), work)


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        # The same source makes the same wheel, so that the engine's cache knows it again.
        env={**os.environ, "SOURCE_DATE_EPOCH": _EPOCH},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"pip {arguments[0]} failed:\n{done.stderr}")
