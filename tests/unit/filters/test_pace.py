"""lamson_milter.callbacks.Pace: quick for long enough, until it is not."""

from __future__ import annotations

import pytest

pytest.importorskip("milter", reason="pymilter is not installed (pip install 'lamson[milter]')")

from lamson_milter.callbacks import Pace


def test_quick_after_a_trial_and_not_after_a_slow_run() -> None:
    pace = Pace(may_be_quick=True)
    for _ in range(20):
        assert not pace.is_quick
        pace.took(0.001)
    assert pace.is_quick
    pace.took(0.5)
    for _ in range(1000):
        assert not pace.is_quick
        pace.took(0.001)
    assert pace.is_quick


def test_never_without_a_thread() -> None:
    pace = Pace(may_be_quick=False)
    for _ in range(100):
        pace.took(0.0)
    assert not pace.is_quick
