"""The code blocks of a page of the documentation.

A block that opens with ```` ```python app/model.py ```` is the file app/model.py, one that opens
with ```` ```shell ```` holds lines to be typed. In the tutorial a block of Python that does not
begin with a docstring is put into the file that is there (`put`).
"""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCS = Path(__file__).parents[2] / "docs"

_BLOCK = re.compile(r"^```(\w+)[\w.]*(?: +(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One code block: its language, the file that it is or "", its text."""

    language: str
    file: str
    text: str


def replaced(text: str, instead: Mapping[str, str]) -> str:
    """``text`` with each key replaced by its value, all at a time.

    One after the other would replace a part of what has just been put there: a port such as 28899
    has another one in it.
    """
    keys = re.compile("|".join(map(re.escape, instead)))
    return keys.sub(lambda key: instead[key[0]], text) if instead else text


def blocks(page: str) -> list[Block]:
    """The code blocks of ``docs/page``, from the top down."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Block(language, file or "", body) for language, file, body in _BLOCK.findall(text)]


def put(file: Path, text: str) -> None:
    """Do with ``file`` what the reader of the tutorial does with a block that is of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".py" and not text.startswith('"""'):
        text = merged(file.read_text(encoding="utf-8"), text)
    file.write_text(text, encoding="utf-8")


def merged(there: str, block: str) -> str:
    """``there`` with what the block has in the place of what is called the same; the rest below."""
    pieces = _pieces(there) | _pieces(block)
    names = list(pieces)
    spaced = [pieces[names[0]]]
    for before, name in pairwise(names):
        is_wide = _is_function(pieces[name]) or _is_function(pieces[before])
        spaced.append(("\n\n" if is_wide else "\n") + pieces[name])
    return "".join(spaced)


def _pieces(text: str) -> dict[str, str]:
    """What stands at the top of a module, by name: the imports are one piece."""
    lines = text.splitlines(keepends=True)
    found: dict[str, tuple[int, int]] = {}
    for node in ast.parse(text).body:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        name = _name(node)
        found[name] = (found.get(name, (first, 0))[0], node.end_lineno or first)
    return {name: "".join(lines[first - 1 : last]) for name, (first, last) in found.items()}


def _name(node: ast.stmt) -> str:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "imports"
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    return ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else "docstring"


def _is_function(piece: str) -> bool:
    return piece.startswith(("@", "def ", "class "))
