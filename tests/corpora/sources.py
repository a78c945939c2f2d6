"""Where real mail is found: in packages that are installed, and in directories beside us.

Nothing of it is kept here. `LAMSON_CORPORA` names directories, as PATH does; without it the
directory ``shared/corpora`` beside the repository is looked at, and what is not there is left out.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
_SUFFIXES = {".eml", ".msg", ".txt", ".mime"}
_MOST = 2_000_000  # octets of one message


def directories() -> list[Path]:
    """The directories with mail that are there."""
    named = os.environ.get("LAMSON_CORPORA")
    places = [Path(one) for one in named.split(os.pathsep)] if named else _usual()
    return [place for place in places if place.is_dir()]


def _usual() -> list[Path]:
    beside = ROOT.parent / "shared" / "corpora"
    # The test mails of CPython and of flufl.bounce, where the installation has them.
    packages = [_package("test.test_email", "data"), _package("flufl.bounce", "tests", "data")]
    return [beside, *(place for place in packages if place is not None)]


def _package(name: str, *within: str) -> Path | None:
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    origin = found.origin if found else None
    return Path(origin).parent.joinpath(*within) if origin else None


def messages() -> Iterator[tuple[str, bytes]]:
    """Each message as (path, content)."""
    for directory in directories():
        for path in sorted(directory.rglob("*")):
            if path.suffix in _SUFFIXES and path.is_file() and path.stat().st_size <= _MOST:
                content = path.read_bytes()
                if b":" in content[:1000]:
                    yield str(path.relative_to(directory.parent)), content
