"""lamson_milter.libmilter.quickness.Quickness: quick for long enough, until it is not."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from lamson_milter.libmilter import quickness as module
from lamson_milter.libmilter.quickness import Quickness


def test_quick_after_a_trial_and_not_after_a_slow_run() -> None:
    quickness = Quickness(may_be_quick=True)
    for _ in range(20):
        assert not quickness.is_quick
        quickness.took(0.001)
    assert quickness.is_quick
    quickness.took(0.5)
    for _ in range(1000):
        assert not quickness.is_quick
        quickness.took(0.001)
    assert quickness.is_quick


def test_never_without_a_thread() -> None:
    quickness = Quickness(may_be_quick=False)
    for _ in range(100):
        quickness.took(0.0)
    assert not quickness.is_quick


@pytest.fixture
def quick() -> Quickness:
    quickness = Quickness(may_be_quick=True)
    for _ in range(20):
        assert quickness.time(lambda: 7) == 7
    assert quickness.is_quick
    return quickness


def test_work_that_waits_is_slow(quick: Quickness) -> None:
    assert not quick.time(lambda: threading.Event().wait(0.03))
    assert not quick.is_quick


def test_work_that_raises_is_timed_too(quick: Quickness) -> None:
    def work() -> None:
        threading.Event().wait(0.03)
        raise SystemExit

    with pytest.raises(SystemExit):
        quick.time(work)
    assert not quick.is_quick


@pytest.mark.parametrize(("switches", "cpu", "is_quick"), [(0, 0.001, True), (0, 0.03, False)])
def test_where_others_had_the_processor_only_its_own_time_counts(
    quick: Quickness, monkeypatch: pytest.MonkeyPatch, switches: int, cpu: float, is_quick: bool
) -> None:
    usages = iter([(0, 0.0), (switches, cpu)])

    def usage(_: int) -> SimpleNamespace:
        nvcsw, utime = next(usages)
        return SimpleNamespace(ru_nvcsw=nvcsw, ru_utime=utime, ru_stime=0.0)

    clock = iter([10.0, 11.0])
    monkeypatch.setattr(module, "getrusage", usage)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    quick.time(lambda: None)
    assert quick.is_quick == is_quick
