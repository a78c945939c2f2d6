"""Holds single modules to a floor of branch coverage, after `make test` has measured.

The floor of pyproject.toml is for all of them together, and would hide one that nobody tests. Says
nothing where all is well; else each that is below, and exits with 1.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from coverage import Coverage
from coverage.exceptions import NoDataError

FLOOR = 80.0  # percent
# What runs in other processes, and what asks Postfix: tests of it are the first to be forgotten.
HELD = (
    "lamson/postfix/*.py",
    "lamson/postfix/checks/*.py",
    "lamson/service/supervisor.py",
    "lamson/service/worker.py",
    "lamson_lmtp/socketmap/worker.py",
    "lamson_lmtp/worker.py",
    "lamson_milter/libmilter/callbacks.py",
    "lamson_milter/worker.py",
)


def problems() -> list[str]:
    """One line for each that is below the floor, or is not there."""
    measured = Coverage()
    measured.load()
    found = []
    for pattern in HELD:
        files = [str(file) for file in sorted(Path().glob(pattern)) if file.stem != "__init__"]
        if not files:
            found.append(f"{pattern}: there is no such file")
        for file in files:
            try:
                percent = measured.report(include=[file], file=io.StringIO())
            except NoDataError:
                percent = 0.0
            if percent < FLOOR:
                found.append(f"{file}: {percent:.1f} % of it are covered; {FLOOR:g} % are needed")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or None)
