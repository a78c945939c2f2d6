"""docs/how-to/lists.md, followed line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import DOCS, blocks
from tests.intro.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

REPOSITORY = DOCS.parent
PROJECT = "talk"
CHECKS = (
    "ruff check .",
    "ruff format --check app config tests",
    f"MYPYPATH={REPOSITORY} mypy --strict --follow-imports=silent app config tests",
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_list_runs_as_written(tmp_path: Path) -> None:
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
        for check in (*CHECKS, "python -c 'import app.web'"):
            status, output = shell.enter(check)
            assert status == 0, output
    assert "6 passed" in shown["pytest -q"]
