"""lamson.net.quiet: strangers are told of, and do not fill the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.net.quiet import MOST, SECONDS, Quiet

if TYPE_CHECKING:
    import pytest


def test_what_happens_often_is_told_now_and_then_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [5.0]
    quiet = Quiet(lambda: now[0])
    for number in range(1000):
        quiet.warn("refused %s", number)
    quiet.warn("hung up on %s", "x")
    assert caplog.messages == [*(f"refused {number}" for number in range(MOST)), "hung up on x"]
    caplog.clear()
    now[0] += SECONDS
    for _ in range(3):
        quiet.warn("refused %s", "y")
    more = f" ({1000 - MOST} more lines like this were left out before)"
    assert caplog.messages == [f"refused y{more}", "refused y", "refused y"]


def test_who_comes_seldom_is_always_told_of(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    quiet = Quiet(lambda: now[0])
    for _ in range(100):
        now[0] += SECONDS / MOST
        quiet.warn("refused one")
    assert caplog.messages == ["refused one"] * 100
