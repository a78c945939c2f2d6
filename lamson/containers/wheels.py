"""Lamson and its dependencies as wheels for the image, so that building it needs no network.

They are for the Python of the image, whatever runs here. Raises UnavailableError with pip's own
words where it fails.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from lamson.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

PYTHON = "3.11"  # of Debian 12
GLIBC = 36  # 2.36, of Debian 12; the oldest that wheels are made for is 2.17
EXTRAS = "postgres"


def collect(directory: Path, architecture: str, requirements: Sequence[str] = ()) -> None:
    """Fill ``directory`` with wheels for a machine such as ``x86_64``.

    ``requirements`` are more of them, for a project.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("lamson-*.whl"):
        old.unlink()
    lamson = f"lamson[{EXTRAS}]=={metadata.version('lamson')}"
    if (source := source_tree()) is not None:
        _build(source, directory)
        (wheel,) = directory.glob("lamson-*.whl")
        lamson = f"lamson[{EXTRAS}] @ {wheel.resolve().as_uri()}"
    _pip(
        *("download", "--dest", str(directory), "--find-links", str(directory)),
        *("--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"),
        *(part for platform in _platforms(architecture) for part in ("--platform", platform)),
        lamson,
        *requirements,
    )


def source_tree() -> Path | None:
    """Where the source of this Lamson is; None where it came from an index."""
    beside = Path(__file__).parents[2]
    if (beside / "pyproject.toml").is_file():
        return beside
    origin = metadata.distribution("lamson").read_text("direct_url.json")
    url = urlparse(json.loads(origin)["url"]) if origin else None
    found = Path(unquote(url.path)) if url is not None and url.scheme == "file" else None
    return found if found is not None and found.is_dir() else None


def _build(source: Path, directory: Path) -> None:
    # In a copy: setuptools takes up what an earlier build left in the tree.
    with tempfile.TemporaryDirectory(prefix="lamson-source-") as work:
        for path in ("pyproject.toml", "README.md"):
            shutil.copy(source / path, work)
        packages = [found.parent for found in source.glob("lamson*/__init__.py")]
        for tree in (*packages, source / "postfix"):
            shutil.copytree(
                tree, Path(work) / tree.name, ignore=shutil.ignore_patterns("__pycache__")
            )
        _pip("wheel", "--no-deps", "--wheel-dir", str(directory), work)


def _platforms(architecture: str) -> list[str]:
    return [f"manylinux_2_{minor}_{architecture}" for minor in range(GLIBC, 16, -1)] + [
        f"manylinux2014_{architecture}"
    ]


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UnavailableError(f"pip {arguments[0]} failed:\n{done.stderr}")
