"""lamson.cli.progress: a bar for a person at a terminal, and nothing in a log."""

from __future__ import annotations

import io
import sys

import pytest

from lamson.cli.progress import progress


class Terminal(io.StringIO):
    """Where a person looks, or a file."""

    def __init__(self, *, is_one: bool) -> None:
        super().__init__()
        self._is_one = is_one

    def isatty(self) -> bool:
        return self._is_one


@pytest.mark.parametrize(("is_one", "length"), [(True, 400), (False, 400), (True, 0)])
def test_a_person_sees_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, is_one: bool, length: int
) -> None:
    terminal = Terminal(is_one=is_one)
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(length, "reading") as done:
        for _ in range(4):
            done(100)
    shown = terminal.getvalue()
    if is_one and length:
        assert "reading" in shown
        assert "100%" in shown
        assert shown.endswith("\n")
    else:
        assert shown == ""


def test_a_mailbox_that_grows_meanwhile_has_no_more_than_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal(is_one=True)
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(100, "reading") as done:
        done(250)
    assert "250%" not in terminal.getvalue()
