"""The tutorial, followed by somebody who does what it says, line by line.

What it comes to is the example helpdesk, whose types, style and behaviour behind a real Postfix the
tests of the examples look at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import blocks, merged, put, replaced
from tests.examples.projects import PLUGINS
from tests.intro.shell import Shell
from tests.waiting import free_port

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "helpdesk"
PASSED = (3, 8, 11, 12, 13)  # tests, after each step


@pytest.mark.slow
@pytest.mark.timeout(600)  # some dozen programs one after the other, on a machine that may be busy
def test_the_tutorial_works_as_written(tmp_path: Path) -> None:
    ports = {"8823": str(free_port()), "8899": str(free_port())}
    project = tmp_path / "helpdesk"
    passed = iter(PASSED)
    settings = ""
    with Shell(tmp_path) as shell:
        for name, value in PLUGINS.items():
            shell.enter(f"export {name}='{value}'")
        for block in blocks("tutorial.md"):
            text = replaced(block.text, ports)
            if block.file == "config/settings.py":
                settings = block.text
            if block.file:
                put(project / block.file, text)
            elif block.language == "shell":
                for line in text.splitlines():
                    status, shown = shell.enter(line)
                    assert status == 0, f"$ {line}\n{shown}"
                    if line == "pytest":
                        assert f" {next(passed)} passed in " in shown
    assert next(passed, None) is None
    (project / "config/settings.py").write_text(settings)
    assert tree(project) == tree(EXAMPLE)


def tree(project: Path) -> dict[str, str]:
    """What is the application's own: all that `lamson gen` makes for every project is left out."""
    tops = ("app", "config", "migrations", "tests")
    files = [path for top in tops for path in (project / top).rglob("*")]
    return {
        str(path.relative_to(project)): path.read_text()
        for path in files
        if path.suffix in (".py", ".txt", ".mako")
    }


def test_a_port_is_not_looked_for_in_another_one() -> None:
    ports = {"8823": "28899", "8899": "28903"}
    assert replaced("8823 8899 8824", ports) == "28899 28903 8824"
    assert replaced("8823", {}) == "8823"


def test_a_block_is_put_where_it_belongs() -> None:
    there = (
        '"""What."""\n\nimport a\n\nX = 1\n\n\n@d\ndef one():\n    pass\n\n\ndef two():\n    pass\n'
    )
    block = "import a\nimport b\n\n\ndef one():\n    return 1\n\n\ndef three():\n    pass\n"
    assert merged(there, block) == (
        '"""What."""\n\nimport a\nimport b\n\nX = 1\n\n\ndef one():\n    return 1\n'
        "\n\ndef two():\n    pass\n\n\ndef three():\n    pass\n"
    )
