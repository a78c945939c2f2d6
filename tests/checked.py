"""Whether a project that tests have made is clean and typed: what ruff and mypy say of it.

mypy knows what it learnt about Lamson and SQLAlchemy from one project to the next, on all workers
of pytest-xdist: to learn it anew takes a dozen seconds each time.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[1]
ROOMS = ("app", "config", "tests")


@pytest.fixture(scope="session")
def check(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """``check(project, *rooms)``: raises AssertionError with what is wrong in that directory."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    cache = base / "mypy"
    cache.mkdir(exist_ok=True)

    def check(project: Path, *rooms: str) -> None:
        _run(project, "ruff", "check", "--no-cache", ".")
        _run(project, "ruff", "format", "--no-cache", "--check", *(rooms or ROOMS))
        config = ("--config-file", str(project / "pyproject.toml"), "--cache-dir", str(cache))
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _run(project, "mypy", "--follow-imports=silent", *config, *(rooms or ROOMS))

    return check


def _run(project: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env={"MYPYPATH": str(REPOSITORY), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
