"""lamson.service.supervisor: what the supervisor tells a new worker.

What it does with real services is in tests/supervisor.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from lamson.service.supervisor import Group, Link, Supervisor
from lamson.settings.model import Settings
from tests.waiting import wait_for

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path


def work(project: Path, sockets: Sequence[socket.socket], link: Link) -> None:
    """Say who was lost, then wait to be killed."""
    (project / str(os.getpid())).write_text(" ".join(map(str, link.lost_pids)) + "\n")
    signal.pause()


def test_the_next_worker_is_told_of_all_that_died(tmp_path: Path) -> None:
    group = Group("LMTP", lambda settings: [], lambda settings: 2, work)
    supervisor = Supervisor(tmp_path, Settings(handlers=[], run_dir=tmp_path / "run"), [group])
    supervisor._is_serving = True

    def told(pid: int) -> str:
        file = tmp_path / str(pid)
        return file.read_text() if file.exists() else ""

    def fork_and_kill(count: int) -> list[int]:
        pids = [supervisor._fork(group).pid for _ in range(count)]
        for pid in pids:
            wait_for(lambda pid=pid: told(pid).endswith("\n"), "a worker to be told")
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        supervisor._reap()
        return pids

    dead = fork_and_kill(2)
    replacements = fork_and_kill(2)
    assert [told(pid).split() for pid in replacements] == [[str(pid) for pid in dead], []]
    (last,) = fork_and_kill(1)  # as the others died before they could do anything about it
    assert sorted(told(last).split()) == sorted(str(pid) for pid in dead + replacements)
