"""docs/how-to/bounces.md, followed line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import blocks
from tests.intro.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROJECT = "club"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_bounces_are_dealt_with_as_written(tmp_path: Path, check: Callable[..., None]) -> None:
    shown = {}
    with Shell(tmp_path) as shell:
        for line in (
            f"lamson gen -from empty -project {PROJECT}",
            f"cd {PROJECT}",
        ):
            assert shell.enter(line).status == 0
        for block in blocks("how-to/bounces.md"):
            if block.file:
                (tmp_path / PROJECT / block.file).write_text(block.text)
            elif block.language == "shell":
                for line in block.text.splitlines():
                    status, shown[line] = shell.enter(line)
                    assert status == 0, f"$ {line}\n{shown[line]}"
    check(tmp_path / PROJECT)
    assert "4 passed" in shown["pytest -q"]
    assert shown["lamson suppressed"].strip() == ""
