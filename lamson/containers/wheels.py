"""Lamson and its dependencies as files for the image, so that building it needs no network.

What Lamson depends on are the very files whose hashes ``requirements.lock`` has: building the image
compares them again. That takes the Python of the image: where another one runs here, there is
Lamson's own wheel alone, and building fetches the rest. A pip that fails, or that is given another
file than the locked one, raises BuildError with pip's own words.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from lamson.containers import shipped
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Sequence

PYTHON = (3, 11)  # of Debian 12
DISTRIBUTION = "lamson-postfix"  # on the package index, `lamson` is the program of 2013
EXTRAS = "postgres"
PROJECT = "project"
_EPOCH = "1000000000"
# What a wheel is made of besides the packages and postfix/.
_BESIDE = ("pyproject.toml", "README.md", "LICENSE", "requirements.lock", "docs/man/lamson.1")


class BuildError(LamsonError):
    """An image, or what goes into it, could not be made."""


def collect(directory: Path, architecture: str, requirements: Sequence[str] = ()) -> bool:
    """Fill the empty ``directory`` with files for a machine such as ``x86_64``.

    ``requirements`` are packages for a project: they and what they need become wheels in the
    directory ``project`` below. What is locked keeps its release, but of the others no hash is
    known. True where all that is all that is needed.
    """
    lock = shipped.lock()
    with tempfile.TemporaryDirectory(prefix="lamson-pins-") as work:
        pins = Path(work) / "pins"
        pins.write_text(versions(lock.read_text()))
        if (source := source_tree()) is not None:
            _build(source, directory, pins)
        else:
            own = f"{DISTRIBUTION}=={metadata.version(DISTRIBUTION)}"
            _pip("wheel", "--no-deps", "--wheel-dir", str(directory), own, pins=pins)
        if not is_same_python(architecture):
            return False
        locked = ("--require-hashes", "--requirement", str(lock))
        _pip("download", "--no-deps", "--dest", str(directory), *locked, pins=pins)
        if requirements:
            (wheel,) = directory.glob("lamson_postfix-*.whl")
            lamson = f"{DISTRIBUTION}[{EXTRAS}] @ {wheel.resolve().as_uri()}"
            apart = ("--wheel-dir", str(directory / PROJECT))
            _pip("wheel", *apart, lamson, *requirements, pins=pins)
    return True


def versions(lock: str) -> str:
    """The releases alone, a line each: with hashes, pip takes no constraints."""
    return "".join(f"{pin}\n" for pin in re.findall(r"^[\w.-]+==[^\s;]+", lock, re.MULTILINE))


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


def _build(source: Path, directory: Path, pins: Path) -> None:
    # In a copy: setuptools takes up what an earlier build left in the tree.
    with tempfile.TemporaryDirectory(prefix="lamson-source-") as work:
        for path in _BESIDE:
            (Path(work) / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / path, Path(work) / path)
        packages = [found.parent for found in source.glob("lamson*/__init__.py")]
        for tree in (*packages, source / "postfix"):
            shutil.copytree(
                tree, Path(work) / tree.name, ignore=shutil.ignore_patterns("__pycache__")
            )
        _pip("wheel", "--no-deps", "--wheel-dir", str(directory), work, pins=pins)


def _pip(*arguments: str, pins: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        env={
            **os.environ,
            # The same source makes the same wheel, so that the engine's cache knows it again.
            "SOURCE_DATE_EPOCH": _EPOCH,
            # By variables, since they count where pip has something built, too: the second is for
            # pip from 25.3 on.
            "PIP_CONSTRAINT": str(pins),
            "PIP_BUILD_CONSTRAINT": str(pins),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"pip {arguments[0]} failed:\n{done.stderr}")
