"""The code blocks of a page of the documentation.

A block that opens with ```` ```python app/model.py ```` is the file app/model.py, one that opens
with ```` ```shell ```` holds lines to be typed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[2] / "docs"

_BLOCK = re.compile(r"^```(\w+)[\w.]*(?: +(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One code block: its language, the file that it is or "", its text."""

    language: str
    file: str
    text: str


def blocks(page: str) -> list[Block]:
    """The code blocks of ``docs/page``, from the top down."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Block(language, file or "", body) for language, file, body in _BLOCK.findall(text)]
