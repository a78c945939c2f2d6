"""The tutorial, followed by somebody who does what it says, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import blocks
from tests.intro.shell import Shell
from tests.waiting import free_port

REPOSITORY = Path(__file__).parents[2]
PROJECT = "lists"
HANDLER_LINES = 60
CHECKS = (
    "ruff check .",
    "ruff format --check app config tests",
    f"MYPYPATH={REPOSITORY} mypy --strict --follow-imports=silent app config tests",
)


@pytest.mark.slow
@pytest.mark.timeout(900)  # some twenty programs one after the other, on a machine that may be busy
def test_the_tutorial_works_as_written(tmp_path: Path) -> None:
    ports = {"8823": str(free_port()), "8899": str(free_port())}
    shown = {}
    with Shell(tmp_path) as shell:
        for block in blocks("tutorial.md"):
            text = block.text
            for port, mine in ports.items():
                text = text.replace(port, mine)
            if block.file:
                (tmp_path / PROJECT / block.file).write_text(text)
            elif block.language == "shell":
                for line in text.splitlines():
                    status, shown[line] = shell.enter(line)
                    assert status == 0, f"$ {line}\n{shown[line]}"
        for check in CHECKS:
            status, output = shell.enter(check)
            assert status == 0, output
    assert " 6 passed in " in shown["pytest"]


def test_the_handlers_fit_on_a_screen_or_two() -> None:
    [handlers] = [one for one in blocks("tutorial.md") if one.file == "app/handlers/lists.py"]
    lines = [line for line in handlers.text.splitlines() if line.strip()]
    assert len(lines) <= HANDLER_LINES, len(lines)
