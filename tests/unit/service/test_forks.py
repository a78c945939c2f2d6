"""lamson.service.forks: what a process forked by a worker has no more."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from lamson.service.forks import let_go

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def status_of(run: Callable[[], object]) -> int:
    """A process of its own: whether ``run()`` raised nothing there."""
    pid = os.fork()
    if pid == 0:
        try:
            run()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_neither_the_port_nor_its_connections_nor_pipes(
    tmp_path: Path, family: socket.AddressFamily
) -> None:
    def worker() -> None:
        listener = socket.socket(family)
        path = str(tmp_path / "socket")
        listener.bind(path if family == socket.AF_UNIX else ("0.0.0.0", 0))
        listener.listen()
        copy = listener.dup()  # as libmilter has one
        name = path if family == socket.AF_UNIX else ("127.0.0.1", listener.getsockname()[1])
        client = socket.socket(family)
        client.connect(name)
        accepted, _ = listener.accept()
        reading, writing = os.pipe()
        mine, yours = socket.socketpair()
        let_go([listener], [writing])

        child = os.fork()
        if child == 0:
            yours.send(b"still mine to use")
            signal.pause()
        assert mine.recv(100) == b"still mine to use"
        for one in (listener, copy, accepted):
            one.close()
        os.close(writing)
        assert os.read(reading, 1) == b""
        assert client.recv(1) == b""
        with socket.socket(family) as late, pytest.raises(ConnectionRefusedError):
            late.connect(name)
        os.kill(child, signal.SIGKILL)

    assert status_of(worker) == 0
