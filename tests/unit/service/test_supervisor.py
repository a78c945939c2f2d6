"""lamson.service.supervisor: what the supervisor tells a new worker, and whom it ends.

What it does with real services is in tests/supervisor.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from lamson.service.supervisor import Supervisor
from lamson.service.worker import Group, Link, Worker
from lamson.settings.model import Settings
from tests.waiting import wait_for

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def work(project: Path, sockets: Sequence[socket.socket], link: Link) -> None:
    """Wait to be killed."""
    signal.pause()


def test_a_worker_that_died_meanwhile_is_not_told_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number may be another process's by then."""
    group = Group("LMTP", lambda settings: [], lambda settings: 1, work)
    supervisor = Supervisor(tmp_path, Settings(handlers=[], run_dir=tmp_path / "run"), [group])
    worker = supervisor._fork(group)
    os.kill(worker.pid, signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    supervisor._reap()
    signalled: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: signalled.append(pid))
    supervisor._end(worker)
    assert signalled == []


def says_place(project: Path, sockets: Sequence[socket.socket], link: Link) -> None:
    (project / str(os.getpid())).write_text(f"{link.number} {link.slot}\n")
    signal.pause()


class Service:
    """A supervisor with two LMTP workers, a socketmap's, and two milters, on three processors."""

    def __init__(self, directory: Path) -> None:
        self.lmtp, self.milter = (
            Group(name, lambda settings: [], lambda settings: 2, says_place)
            for name in ("LMTP", "milter")
        )
        self.socketmap = Group(
            "socketmap", lambda settings: [], lambda settings: 1, says_place, keeps_to_one=False
        )
        self._directory = directory
        self.supervisor = Supervisor(
            directory,
            Settings(handlers=[], run_dir=directory / "run"),
            [self.lmtp, self.socketmap, self.milter],
        )
        self.supervisor._is_serving = True

    def fork(self, group: Group, former: Worker | None = None) -> tuple[Worker, int, int]:
        """A new worker; gives the number and the slot that it was told."""
        worker = self.supervisor._fork(group, former)
        file = self._directory / str(worker.pid)
        text = wait_for(
            lambda: file.exists() and file.read_text().endswith("\n") and file.read_text(),
            "a worker to say where it is",
        )
        number, slot = map(int, str(text).split())
        assert (worker.number, worker.slot) == (number, slot)
        return worker, number, slot

    def kill(self, *workers: Worker) -> None:
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)
            os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
            self.supervisor._reap()


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
    service = Service(tmp_path)
    yield service
    with suppress(ProcessLookupError):
        service.kill(*list(service.supervisor._workers.values()))


def test_workers_get_their_places_over_all_groups(service: Service) -> None:
    groups = [service.lmtp] * 2 + [service.socketmap] + [service.milter] * 2
    told = [service.fork(group)[1:] for group in groups]
    assert [number for number, _ in told] == [0, 1, 0, 0, 1]  # each group has its own first one
    assert [slot for _, slot in told[:2] + told[3:]] == [0, 1, 2, 0]


def test_a_new_worker_gets_the_place_of_the_one_that_it_follows(service: Service) -> None:
    groups = [service.lmtp] * 2 + [service.milter] * 2
    workers = [service.fork(group)[0] for group in groups]
    for index in range(4):
        before = workers[index]
        service.kill(before)
        workers[index], *told = service.fork(before.group)
        assert told == [before.number, before.slot]
    new, *told = service.fork(service.milter, workers[2])  # as a reload does, before the old ends
    assert told == [workers[2].number, workers[2].slot]
    assert new.pid != workers[2].pid


def test_one_more_worker_goes_where_the_fewest_are(service: Service) -> None:
    for group in [service.lmtp] * 2 + [service.milter] * 2:
        service.fork(group)
    assert service.fork(service.lmtp)[1:] == (2, 2)


def beats_not(project: Path, sockets: Sequence[socket.socket], link: Link) -> None:
    link.ready()
    signal.pause()


class Clock:
    """The supervisor's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("lamson.service.supervisor.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_worker_is_killed_for_the_time_that_it_was_watched_only(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = Group("LMTP", lambda settings: [], lambda settings: 1, beats_not)
    settings = Settings(handlers=[], run_dir=tmp_path / "run", handler_deadline=300)
    supervisor = Supervisor(tmp_path, settings, [group])
    worker = supervisor._fork(group)
    while not worker.is_ready:
        supervisor._pause(1.0)
    killed: list[int] = []
    kill = os.kill
    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", lambda pid, number: killed.append(number))
        clock.now += 7 * 24 * 3600  # this machine was asleep, and the supervisor with it
        supervisor._look(10)
        assert worker.heartbeat.silence == 20
        for _ in range(27):
            clock.now += 10
            supervisor._look(10)
        assert signal.SIGKILL not in killed
        clock.now += 10
        supervisor._look(10)
        assert killed == [signal.SIGQUIT, signal.SIGKILL]
    kill(worker.pid, signal.SIGKILL)
    os.waitpid(worker.pid, 0)


def hangs(project: Path, sockets: Sequence[socket.socket], link: Link) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "ready" in project.name:
        link.ready()
    while True:
        link.heartbeat.beat()
        signal.sigtimedwait([], 0.1)


@pytest.mark.parametrize(("name", "seconds"), [("loading", 90), ("ready", 35)])
def test_one_that_does_not_get_ready_or_does_not_end_is_killed(
    tmp_path: Path, clock: Clock, name: str, seconds: int
) -> None:
    group = Group("LMTP", lambda settings: [], lambda settings: 1, hangs)
    (tmp_path / name).mkdir()
    settings = Settings(handlers=[], run_dir=tmp_path / "run")
    supervisor = Supervisor(tmp_path / name, settings, [group])
    worker = supervisor._fork(group)
    while name == "ready" and not worker.is_ready:
        supervisor._pause(1.0)
    if name == "ready":
        supervisor._end(worker)
    for _ in range(seconds // 5 - 1):
        clock.now += 5
        supervisor._look(5)
    assert os.waitpid(worker.pid, os.WNOHANG) == (0, 0)
    clock.now += 5
    supervisor._look(5)
    _, status = os.waitpid(worker.pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
