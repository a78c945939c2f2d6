"""The examples: each a project, in a directory of its own."""

from __future__ import annotations

from pathlib import Path

from lamson.cli import begin, project

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
# Of a project of its own: the environment of these tests has a dozen of others, slow to load.
PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p lamson.testing"}
NAMES = [name for name in begin.names() if name != begin.EMPTY]


def generate(name: str, directory: Path) -> Path:
    """What ``lamson gen -from NAME -project directory`` makes."""
    arguments = ["-from", name, "-project", str(directory)]
    project.gen_command.main(arguments, standalone_mode=False)
    return directory


def sources(name: str, *parts: str) -> list[Path]:
    """The Python files of an example, by default all of them, in order."""
    within = EXAMPLES / name
    found = sorted(within.rglob("*.py"))
    return [one for one in found if not parts or one.relative_to(within).parts[0] in parts]
