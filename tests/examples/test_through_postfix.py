"""The examples' own tests, unchanged, with a real Postfix on either side: one for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.examples.projects import NAMES, PLUGINS, generate
from tests.postfix.played import Played, playing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.postfix, pytest.mark.slow]


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    with playing() as played:
        yield played


@pytest.mark.parametrize("name", NAMES)
def test_its_tests_pass_behind_postfix(name: str, played: Played, tmp_path: Path) -> None:
    project = generate(name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", "-W", "error", *played.options],
        cwd=project,
        env={**os.environ, **PLUGINS, **played.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
