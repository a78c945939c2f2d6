"""docs/how-to/threads.md: its files in a new project, and its tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import blocks
from tests.intro.shell import Shell

REPOSITORY = Path(__file__).parents[2]
LINES = (
    "lamson gen -project desk",
    "cd desk",
    "rm app/handlers/sample.py tests/handlers/*sample*",
    "sed -i 's/app.handlers.sample/app.handlers.helpdesk/' config/settings.py",
)
CHECKS = (
    "ruff check app tests",
    "ruff format --check app tests",
    f"MYPYPATH={REPOSITORY} mypy --strict --follow-imports=silent app tests",
)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_helpdesk_works_as_written(tmp_path: Path) -> None:
    with Shell(tmp_path) as shell:

        def enter(line: str) -> str:
            status, output = shell.enter(line)
            assert status == 0, f"$ {line}\n{output}"
            return output

        for line in LINES:
            enter(line)
        for block in blocks("how-to/threads.md"):
            file = tmp_path / "desk" / block.file
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text)
        assert "5 passed" in enter("pytest -q tests/handlers/test_helpdesk.py")
        for check in CHECKS:
            enter(check)
