"""Mail is judged on threads of its own, before its transaction; nothing waits for it for ever."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from lamson.delivery.judging import Judging
from lamson.delivery.spam.opinion import Opinion
from lamson.delivery.spam.panel import Panel
from tests.unit.delivery.test_dispatcher import Bench, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from lamson.message.request import MailRequest

HANDLERS = """
    import sys
    hooks = sys.modules[__name__]
    ran = []

    @route("list-open@(host)")
    @stateless
    def LOG(message, host):
        ran.append("list-open")

    @route("(user)@(host)")
    @stateless
    @spam_filter()
    def JUDGED(message, user, host):
        ran.append(user)
"""


class Box:
    """Where this test's spam goes."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def keep(self, job: Any, reason: str, state: str) -> None:
        self.kept.append(str(job.message.recipient))


class Judge:
    """Waits for ``gate``, and says what ``says`` makes of the recipient."""

    name, is_shared, is_server = "judge", False, False

    def __init__(self, says: Callable[[str], Opinion | None]) -> None:
        self.says = says
        self.gate = threading.Event()
        self.threads: set[int] = set()

    def opinion(self, message: MailRequest, deadline: float) -> Opinion | None:
        self.threads.add(threading.get_ident())
        self.gate.wait(30)
        return self.says(message.recipient.address)


def spam_at(recipient: str) -> Opinion | None:
    return Opinion(True, "x") if recipient.startswith("spam") else None


def with_box(box: Box, bench: Bench) -> None:
    bench.dispatcher._transactions._handlers._spam = box  # type: ignore[assignment]


def test_who_is_judged_waits_and_nobody_else_does(tmp_path: Path) -> None:
    async def story() -> None:
        judge, box = Judge(spam_at), Box()
        judging = Judging(Panel([judge], timeout=30), threads=2)
        async with running(tmp_path, source=HANDLERS, judging=judging, threads=1) as bench:
            with_box(box, bench)
            bench.deliver("spam1@test.com", "ham@test.com")
            bench.deliver("list-open@test.com")
            assert await bench.wait_for(1) == [250]
            assert bench.hooks.ran == ["list-open"]
            judge.gate.set()
            assert await bench.wait_for(3) == [250, 250, 250]
            assert bench.hooks.ran == ["list-open", "ham"]
            assert box.kept == ["spam1@test.com"]
            assert threading.get_ident() not in judge.threads

    asyncio.run(story())


def test_who_takes_too_long_has_no_opinion(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However many judges hang: the mail behind them is only as late as the first."""

    async def story() -> None:
        judge, box = Judge(lambda recipient: Opinion(True)), Box()
        judging = Judging(Panel([judge], timeout=0.2), threads=1)
        async with running(tmp_path, source=HANDLERS, judging=judging) as bench:
            with_box(box, bench)
            for name in "abc":
                bench.deliver(f"{name}@test.com")
            assert await bench.wait_for(3) == [250] * 3
            assert sorted(bench.hooks.ran) == ["a", "b", "c"]
            judge.gate.set()  # what it says now comes too late
            bench.deliver("d@test.com")
            await bench.wait_for(4)
            assert box.kept == ["d@test.com"]

    asyncio.run(story())
    assert caplog.text.count("not judged in 0.2 s: it passes") == 3


def test_what_a_person_has_run_again_is_not_judged(tmp_path: Path) -> None:
    async def story() -> None:
        judge, box = Judge(lambda recipient: Opinion(True)), Box()
        judge.gate.set()
        judging = Judging(Panel([judge], timeout=30), threads=1)
        async with running(tmp_path, source=HANDLERS, judging=judging) as bench:
            with_box(box, bench)
            bench.again = "1795376990.M199820P13874Q1.mx"
            bench.deliver("ann@test.com")
            assert await bench.wait_for(1) == [250]
            assert (bench.hooks.ran, box.kept, judge.threads) == (["ann"], [], set())

    asyncio.run(story())
