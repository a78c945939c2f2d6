"""The API reference has every public name, and each of them says what it does."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = (
    "lamson",
    "lamson.containers",
    "lamson.lists",
    "lamson.results",
    "lamson.routing",
    "lamson.settings",
    "lamson.testing",
    "lamson_milter",
)
NAMES = [
    f"{module}.{name}" for module in MODULES for name in importlib.import_module(module).__all__
]
LISTED = re.findall(
    r"^::: ([\w.]+)$",
    "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference/api").glob("*.md")),
    re.MULTILINE,
)


def what_is(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def of(name: str) -> Iterator[tuple[str, object]]:
    """The name itself, and the public methods and properties that its class adds."""
    found = what_is(name)
    yield name, found
    if inspect.isclass(found):
        for member, value in vars(found).items():
            if member.startswith("_"):
                continue
            value = getattr(value, "__func__", value)
            if inspect.isfunction(value) or isinstance(value, property):
                yield f"{name}.{member}", value


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_in_the_reference(name: str) -> None:
    # A page points to the other one for what two modules have.
    assert any(what_is(name) is what_is(one) for one in LISTED), f"add `::: {name}`"


def is_described(found: object) -> bool:
    """By a docstring of its own: a class must not pass by what `object` or a base of it says."""
    if not inspect.isclass(found):
        return bool(found.__doc__)
    return bool(found.__doc__) and found.__doc__ not in [one.__doc__ for one in found.__mro__[1:]]


@pytest.mark.parametrize("name", LISTED)
def test_what_is_in_the_reference_has_a_docstring(name: str) -> None:
    if name in {"lamson.State", "lamson_milter.Verdict"}:
        return  # aliases of types: what stands below them in the source is read by the site alone
    assert [one for one, found in of(name) if not is_described(found)] == []


def test_nothing_is_in_the_reference_twice() -> None:
    assert sorted(LISTED) == sorted(set(LISTED))


def test_every_page_of_the_site_is_in_its_contents() -> None:
    contents = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    missing = {page for page in pages if f" {page}\n" not in contents}
    assert {page for page in missing if not page.startswith("decisions/")} == set()
