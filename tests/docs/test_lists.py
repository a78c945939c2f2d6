"""docs/how-to/lists.md, followed line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import blocks
from tests.intro.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROJECT = "talk"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_list_runs_as_written(tmp_path: Path, check: Callable[..., None]) -> None:
    shown = {}
    pages = list(blocks("how-to/lists.md"))
    with Shell(tmp_path) as shell:
        for line in (
            f"lamson gen -from empty -project {PROJECT}",
            f"cd {PROJECT}",
        ):
            assert shell.enter(line).status == 0
        for block in pages:
            if block.file:
                (tmp_path / PROJECT / block.file).write_text(block.text)
        for block in pages:
            for line in block.text.splitlines() if block.language == "shell" else ():
                status, shown[line] = shell.enter(line)
                assert status == 0, f"$ {line}\n{shown[line]}"
        status, output = shell.enter("python -c 'import app.web'")
        assert status == 0, output
    check(tmp_path / PROJECT)
    assert "6 passed" in shown["pytest -q"]
