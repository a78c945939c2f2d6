"""The processes of a service: the supervisor, its workers, and what handlers have started.

For `lamson stop -KILL`. In the background the supervisor leads a process group of its own, and all
of them are in it. In the foreground the group may be that of a script or a terminal, which is none
of ours to kill: then it is those who descend from the supervisor. Under systemd it is the leader,
and what remains is in its control group.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path


def lead() -> None:
    """Be the leader of a process group of our own."""
    with suppress(PermissionError):  # it leads a session, and so a group, already
        os.setpgid(0, 0)


def kill(pid: int, timeout: float = 10.0) -> None:
    """Kill the server ``pid`` and all that belongs to it; return when they are gone.

    After ``timeout`` seconds it returns in any case. What may not be killed, such as a program of
    another user, is left.
    """
    members = [pid, *sorted(_members(pid) - {pid})]  # the supervisor first: it replaces workers
    handles = [handle for one in members if (handle := _open(one)) is not None]
    try:
        for handle in handles:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        poll = select.poll()
        for handle in handles:
            poll.register(handle, select.POLLIN)
        left, deadline = set(handles), time.monotonic() + timeout
        while left and (seconds := deadline - time.monotonic()) > 0:
            for handle, _ in poll.poll(seconds * 1000):
                poll.unregister(handle)
                left.discard(handle)
    finally:
        for handle in handles:
            os.close(handle)


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _members(pid: int) -> set[int]:
    """Who descends from ``pid``, and who is in the process group that it leads, if it does."""
    processes = {one: found for one in _pids() if (found := _parent_and_group(one))}
    members = {one for one, (_, group) in processes.items() if group == pid} | {pid}
    while more := {one for one, (parent, _) in processes.items() if parent in members} - members:
        members |= more
    return members


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _parent_and_group(pid: int) -> tuple[int, int] | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:  # it has ended, or is hidden from us
        return None
    _, parent, group, *_ = stat.rpartition(")")[2].split()
    return int(parent), int(group)
