"""The targets of `make fuzz` hold for what they begin with, and for all that was ever found."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.guided.targets import SEEDS, TARGETS

ROOT = Path(__file__).parents[2]
FOUND = Path(__file__).parent / "guided/found"


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_is_mended(name: str) -> None:
    for data in [*SEEDS[name], *(path.read_bytes() for path in sorted(FOUND.glob(f"{name}/*")))]:
        TARGETS[name](data)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="atheris has no wheel for this machine")
def test_a_second_of_each(tmp_path: Path) -> None:
    """That they run at all, and from an empty directory."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", "--seconds", "1"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count("nothing found") == len(TARGETS)
