"""docs/how-to/mailing-list.md, followed line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import blocks
from tests.intro.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE = "how-to/mailing-list.md"
HANDLER_LINES = 60


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_list_works_as_written(tmp_path: Path, check: Callable[..., None]) -> None:
    shown = {}
    with Shell(tmp_path) as shell:
        for block in blocks(PAGE):
            if block.file:
                (tmp_path / "lists" / block.file).write_text(block.text)
            elif block.language == "shell":
                for line in block.text.splitlines():
                    status, shown[line] = shell.enter(line)
                    assert status == 0, f"$ {line}\n{shown[line]}"
    check(tmp_path / "lists")
    assert " 8 passed in " in shown["pytest"]


def test_the_handlers_fit_on_a_screen_or_two() -> None:
    [handlers] = [one for one in blocks(PAGE) if one.file == "app/handlers/lists.py"]
    lines = [line for line in handlers.text.splitlines() if line.strip()]
    assert len(lines) <= HANDLER_LINES, len(lines)
