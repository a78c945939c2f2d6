"""Every dialogue in tests/protocol/socketmap/, in large pieces and byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.protocol.lookups import play, read

FILES = sorted((Path(__file__).parent / "socketmap").glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_in_one_piece(path: Path) -> None:
    play(read(path), lambda sent: [sent])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_byte_by_byte(path: Path) -> None:
    play(read(path), lambda sent: (sent[at : at + 1] for at in range(len(sent))))


def test_there_are_dialogues() -> None:
    assert len(FILES) > 5


@pytest.mark.parametrize("line", ["X: y", "S: OK before anything was asked", "routed"])
def test_a_line_that_is_none(tmp_path: Path, line: str) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text(f"# wrong\n{line}\n")
    with pytest.raises(ValueError, match=r"wrong\.txt:2: not a line"):
        read(path)
