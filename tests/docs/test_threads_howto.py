"""docs/how-to/threads.md: what it shows stands in the example helpdesk, which has its own tests."""

from __future__ import annotations

import pytest

from tests.docs.blocks import DOCS, Block, blocks, merged

EXAMPLE = DOCS.parent / "examples" / "helpdesk"


@pytest.mark.parametrize("block", [one for one in blocks("how-to/threads.md") if one.file])
def test_it_is_a_part_of_the_helpdesk(block: Block) -> None:
    there = (EXAMPLE / block.file).read_text()
    assert (merged(there, block.text) if block.language == "python" else block.text) == there


def test_it_shows_the_handlers_and_what_they_send() -> None:
    assert [one.file for one in blocks("how-to/threads.md") if one.file] == [
        "app/handlers/helpdesk.py",
        "app/letters.py",
        "app/templates/mail/passed_on.txt",
        "app/letters.py",
    ]
