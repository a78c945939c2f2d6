"""The neighbour is really another user: else what he cannot do would prove nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.security.neighbour import Neighbour

READ = "import sys; print(open(sys.argv[1]).read())"


def test_he_reads_what_is_open_and_not_what_is_closed(neighbour: Neighbour, street: Path) -> None:
    for name, mode in (("open", 0o644), ("closed", 0o600)):
        (street / name).write_text("here")
        (street / name).chmod(mode)
    assert neighbour.python(READ, str(street / "open")).stdout == "here\n"
    assert "PermissionError" in neighbour.python(READ, str(street / "closed")).stderr
