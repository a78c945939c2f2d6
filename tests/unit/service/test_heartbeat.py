"""lamson.service.heartbeat: when silence counts as a standstill, and what a worker did then."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

import lamson
from lamson.service.heartbeat import Heartbeat
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def heartbeat() -> Iterator[Heartbeat]:
    heartbeat = Heartbeat(2.0)
    yield heartbeat
    heartbeat.close()
    faulthandler.cancel_dump_traceback_later()


def child(run: Callable[[], object]) -> int:
    """A process that does ``run``, and then nothing until it is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            run()
            while True:
                signal.pause()
        finally:
            os._exit(1)
    return pid


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_it_is_beaten_ten_times_within_a_deadline_and_not_more_often_than_it_helps() -> None:
    for deadline, interval in ((300.0, 10.0), (50.0, 5.0), (2.0, 0.2), (0.001, 0.1)):
        heartbeat = Heartbeat(deadline)
        assert heartbeat.interval == interval
        heartbeat.close()


def test_silence_adds_up_until_there_is_a_beat(heartbeat: Heartbeat) -> None:
    assert not heartbeat.look(1.9)
    pid = child(heartbeat.beat)
    wait_for(lambda: heartbeat._shared[0], "a beat of another process")
    assert not heartbeat.look(1.0)
    assert heartbeat.silence == 0
    assert not heartbeat.look(1.9)
    assert heartbeat.look(0.2)
    end(pid)


def test_a_loop_that_turns_beats(heartbeat: Heartbeat) -> None:
    async def turn() -> None:
        heartbeat.beat_on(asyncio.get_running_loop())
        while heartbeat._shared[0] < 3:
            await asyncio.sleep(heartbeat.interval / 10)

    asyncio.run(turn())


def stand_still(heartbeat: Heartbeat) -> NoReturn:
    heartbeat.start(60)
    heartbeat.beat()
    while True:
        pass


def test_it_tells_where_the_worker_stood_in_the_project_or_else_in_ours(
    heartbeat: Heartbeat,
) -> None:
    pid = child(lambda: stand_still(heartbeat))
    wait_for(lambda: heartbeat._shared[0], "the worker")
    heartbeat.look(0.1)
    heartbeat.look(1.0)
    heartbeat.ask(pid)
    assert heartbeat.doing(Path(__file__).parent) == ""  # it is not yet time
    heartbeat.look(0.8)
    heartbeat.ask(pid)
    project = Path(__file__).parent
    place = wait_for(lambda: heartbeat.doing(project), "an answer")
    assert place.startswith(f"{Path(__file__).name}:")
    assert place.endswith("stand_still")
    end(pid)


def test_without_the_project_it_is_the_main_threads_place_in_ours(heartbeat: Heartbeat) -> None:
    ours = Path(lamson.__file__).parent
    os.write(
        heartbeat._trace,
        'Thread 0x01 (most recent call first):\n  File "/usr/lib/x.py", line 1 in wait\n\n'
        'Current thread 0x02 (most recent call first):\n  File "/usr/lib/re.py", line 2 in m\n'
        f'  File "{ours}/routing/pattern.py", line 88 in extract\n'
        f'  File "{ours}/app.py", line 1 in main\n'.encode(),
    )
    assert heartbeat.doing(Path("/project")) == "lamson/routing/pattern.py:88 extract"


def test_a_worker_that_gives_no_answer_was_somewhere(heartbeat: Heartbeat) -> None:
    assert heartbeat.doing(Path("/project")) == ""


def test_a_worker_that_nobody_looks_after_ends_itself() -> None:
    heartbeat = Heartbeat(1.0)
    pid = child(lambda: stand_still(heartbeat))
    heartbeat.close()
    began = time.monotonic()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert time.monotonic() - began > 1.0  # the supervisor would have been first
