"""The verdicts in the examples can be made: a filter that raises defers all mail."""

from __future__ import annotations

import ast
import textwrap

import pytest

import lamson
import lamson_milter
from tests.docs.blocks import DOCS, blocks

PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
MADE = {
    "Defer": lamson_milter.Defer,
    "Quarantine": lamson_milter.Quarantine,
    "Reject": lamson_milter.Reject,
    "SMTPError": lamson.SMTPError,
}


def value(node: ast.expr) -> object:
    """What is written there; any text for what would have to be run."""
    return node.value if isinstance(node, ast.Constant) else "text"


def parsed(text: str) -> ast.AST:
    """A block's code; nothing of one that only shows how something begins."""
    try:
        return ast.parse(textwrap.dedent(text))
    except SyntaxError:
        return ast.Module([], [])


def made(page: str) -> list[tuple[str, list[object], dict[str, object]]]:
    """The calls in the page's code that make a verdict."""
    return [
        (
            node.func.id,
            [value(argument) for argument in node.args],
            {keyword.arg or "": value(keyword.value) for keyword in node.keywords},
        )
        for block in blocks(page)
        if block.language == "python"
        for node in ast.walk(parsed(block.text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MADE
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if made(page)])
def test_a_verdict_of_an_example_can_be_made(page: str) -> None:
    for name, arguments, keywords in made(page):
        MADE[name](*arguments, **keywords)
