"""The packages as others meet them: what is public, what they are called, what they ask for."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lamson
from lamson.containers import wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("lamson", "lamson_lmtp", "lamson_milter")
# What is imported under another name than that of its distribution.
DISTRIBUTION = {
    "flufl": "flufl.bounce",
    "re2": "google-re2",
    "dns": "dnspython",
    "milter": "pymilter",
    "markdown_it": "markdown-it-py",
    "mjml": "mjml-python",
    "opentelemetry": "opentelemetry-api",
}
# Of a generated project, and the project itself.
ITS_OWN = {"app", "config", *PACKAGES}


def imports_of(file: Path) -> Iterator[str]:
    """The top-level names of what a module imports, at its top or anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def named(requirement: str) -> str:
    [name] = re.findall(r"^[\w.-]+", requirement)
    return canonical(name)


def canonical(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def test_every_third_party_import_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = {named(one) for one in PROJECT["dependencies"]}
    for extra in ("html", "mjml", "postgres", "milter", "containers", "otel", "web"):
        declared |= {named(one) for one in extras[extra]}
    imported = {
        name: file
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
        for name in imports_of(file)
        if name not in sys.stdlib_module_names and name not in ITS_OWN
    }
    assert {"pydantic", "sqlalchemy"} <= set(imported)
    missing = {
        name: str(file)
        for name, file in imported.items()
        if canonical(DISTRIBUTION.get(name, name)) not in declared
    }
    assert missing == {}


def test_every_dependency_is_imported() -> None:
    imported = {
        canonical(DISTRIBUTION.get(name, name))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for name in imports_of(file)
    }
    assert {named(one) for one in PROJECT["dependencies"]} - imported == set()


def test_the_distribution_has_one_name() -> None:
    assert PROJECT["name"] == wheels.DISTRIBUTION
    assert metadata.version(wheels.DISTRIBUTION)


def test_texts_install_our_distribution_not_the_program_of_2013() -> None:
    wrong = re.compile(r"pip install [^\n`]*\blamson(?![\w./-])|\blamson\[\w+\]")
    texts = [
        file
        for tree in (*PACKAGES, "docs", "postfix", "scripts")
        for file in (ROOT / tree).rglob("*")
        if file.suffix in {".md", ".py", ".tmpl", ".lamson", ".sh", ".yaml", ".toml"}
        and "decisions" not in file.parts
    ]
    found = {
        str(file.relative_to(ROOT)): match[0]
        for file in [*texts, *ROOT.glob("*.md")]
        if (match := wrong.search(file.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_the_version_is_the_newest_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest, *_ = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert newest == PROJECT["version"]


@pytest.mark.parametrize("name", lamson.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(lamson, name) is not None


def test_all_names_of_the_package_have_a_home() -> None:
    assert sorted(lamson._HOME) == sorted(lamson.__all__)


@pytest.mark.parametrize(
    "module",
    [
        "lamson.containers",
        "lamson.results",
        "lamson.routing",
        "lamson.settings",
        "lamson.testing",
        "lamson_milter",
    ],
)
def test_a_public_module_says_what_is_public_in_it(module: str) -> None:
    found = importlib.import_module(module)
    assert found.__all__
    assert all(hasattr(found, name) for name in found.__all__)
    if module.startswith("lamson."):
        assert f"`{module}`" in (lamson.__doc__ or "")
