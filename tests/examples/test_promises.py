"""Each example is short, typed, made of public names alone, and as `lamson gen` makes a project."""

from __future__ import annotations

import ast
import importlib
import re
from typing import TYPE_CHECKING

import pytest

import lamson
from lamson.cli.begin import SKELETONS
from tests.examples.projects import EXAMPLES, NAMES, sources

if TYPE_CHECKING:
    from collections.abc import Callable

LINES = 600
PLUMBING = re.compile(r"^(\d+) lines? of the code in `app/` (?:is|are) not about", re.MULTILINE)
# What no application is about: lines that have one of these are plumbing, whatever they say.
ALWAYS = re.compile(
    r"\b(create_engine|sessionmaker|environ|getenv|commit|rollback|Mailer\.of|sys\.path"
    r"|state_key_generator\()"
)

each = pytest.mark.parametrize("name", NAMES)


@each
def test_it_is_short(name: str) -> None:
    files = [path for path in (EXAMPLES / name).rglob("*") if path.is_file()]
    texts = [path for path in files if path.suffix in (".py", ".txt", ".html", ".md", ".mako")]
    assert sum(len(path.read_text().splitlines()) for path in texts) < LINES


def public() -> dict[str, list[str]]:
    """What an application may import, by module."""
    modules = re.findall(r"`(lamson[\w.]*)`", lamson.__doc__ or "")
    found = {one: list(importlib.import_module(one).__all__) for one in modules}
    return {"lamson": list(lamson.__all__), **found}


@each
def test_it_uses_public_names_alone(name: str) -> None:
    allowed = public()
    for path in sources(name):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lamson"):
                names = {one.name for one in node.names}
                assert names <= set(allowed.get(node.module or "", ())), (path, node.module)
            elif isinstance(node, ast.Import):
                assert not [one for one in node.names if one.name.startswith("lamson")], path
            elif isinstance(node, ast.Attribute):
                is_private = node.attr.startswith("_") and not node.attr.endswith("__")
                assert not is_private or ast.unparse(node.value) == "self", (path, node.attr)


@each
def test_what_is_not_about_its_subject_is_counted(name: str) -> None:
    code = [line for path in sources(name, "app") for line in path.read_text().splitlines()]
    told = PLUMBING.search((EXAMPLES / name / "README.md").read_text())
    assert told is not None
    assert len([line for line in code if line.endswith("# plumbing")]) == int(told[1])
    missed = [line for line in code if ALWAYS.search(line) and not line.endswith("# plumbing")]
    assert [line for line in missed if "import" not in line] == []


@each
def test_the_rest_is_what_every_project_has(name: str) -> None:
    """A copy, so that the example is a project where it stands."""
    for file in (
        "app/__init__.py",
        "app/handlers/__init__.py",
        "config/__init__.py",
        "migrations/env.py",
        "migrations/script.py.mako",
        "tests/model_tests.py",
        "pyproject.toml",
    ):
        assert (EXAMPLES / name / file).read_bytes() == (SKELETONS / "project" / file).read_bytes()


@each
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_is_clean_and_typed(name: str, check: Callable[..., None]) -> None:
    check(EXAMPLES / name, "app", "config", "tests", "migrations")
