"""Every dialogue in tests/protocol/lmtp/, in large pieces and byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.protocol.dialogue import play, read

FILES = sorted((Path(__file__).parent / "lmtp").glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_in_one_piece(path: Path) -> None:
    play(read(path), lambda sent: [sent])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_byte_by_byte(path: Path) -> None:
    play(read(path), lambda sent: (sent[at : at + 1] for at in range(len(sent))))


def test_there_are_dialogues() -> None:
    assert len(FILES) > 10
