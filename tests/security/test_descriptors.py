"""A worker without a free descriptor says so quietly, and goes on as soon as it has one."""

from __future__ import annotations

import itertools
import os
import resource
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postfix.sink import Sink
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

GREETING = b"220 "
LIMIT = 64  # descriptors of a worker that is short of them
CONNECTIONS = 1000  # what the settings want


@pytest.fixture
def lamson(tmp_path: Path) -> Iterator[LamsonService]:
    LamsonService(tmp_path).command("gen", "-project", "p")
    with Sink() as sink:
        service = LamsonService(tmp_path / "p", LAMSON_SUBMISSION__SERVER=f"127.0.0.1:{sink.port}")
        service.command("syncdb")
        with service:
            yield service


def worker(lamson: LamsonService) -> int:
    children = Path(f"/proc/{lamson.pid}/task/{lamson.pid}/children").read_text()
    [pid] = map(int, children.split())
    return pid


def limits(pid: int) -> tuple[int, int]:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)


def test_the_limit_is_raised_to_what_the_settings_need(lamson: LamsonService) -> None:
    assert limits(worker(lamson))[0] > CONNECTIONS


def test_where_it_cannot_be_raised_fewer_connections_are_taken(tmp_path: Path) -> None:
    LamsonService(tmp_path).command("gen", "-project", "p")
    lamson = LamsonService(tmp_path / "p")
    lamson.command("syncdb")
    program = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512));"
        "sys.argv = ['lamson', 'start']; runpy.run_module('lamson', run_name='__main__')"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=lamson.project,
        env={**os.environ, **lamson.environment},
        check=True,
        timeout=60,
    )
    try:
        lamson.wait_log("connections are as many as this process may have", "(1000)")
    finally:
        lamson.command("stop", "-ALL", "run")


def test_who_is_connected_is_answered_without_a_descriptor(lamson: LamsonService) -> None:
    """With 250 or 451, and at once: a reply kept back holds up Postfix for ten minutes."""
    with socket.create_connection(("127.0.0.1", lamson.port), timeout=60) as client:
        stream = client.makefile("rwb")
        assert stream.readline().startswith(GREETING)
        pid = worker(lamson)
        full = limits(pid)
        used = {int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()}
        free = next(number for number in itertools.count() if number not in used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, full[1]))
        message = (
            b"MAIL FROM:<me@mydomain.com>\r\nRCPT TO:<test@test.com>\r\nDATA\r\n"
            b"Subject: x\r\n\r\ny\r\n.\r\n"
        )
        stream.write(b"LHLO mx.example\r\n" + message)
        stream.flush()
        while (line := stream.readline())[3:4] == b"-":
            pass
        replies = [line[:3], *(stream.readline()[:3] for _ in range(4))]
        assert replies[:4] == [b"250", b"250", b"250", b"354"]
        assert replies[4] in (b"250", b"451")
        assert lamson.log_lines("Traceback") == []
        resource.prlimit(pid, resource.RLIMIT_NOFILE, full)
        stream.write(message)
        stream.flush()
        assert [stream.readline()[:3] for _ in range(4)] == [b"250", b"250", b"354", b"250"]
        stream.close()
    lamson.wait_log("submitted")


def test_a_worker_without_descriptors_is_quiet_and_recovers(lamson: LamsonService) -> None:
    pid = worker(lamson)
    full = limits(pid)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, full[1]))
    waiting = "no connection can be accepted, clients wait"
    with ExitStack() as clients:
        for _ in range(2 * LIMIT):
            clients.enter_context(socket.create_connection(("127.0.0.1", lamson.port), timeout=60))
        wait_for(lambda: len(lamson.log_lines(waiting)) >= 3, "three lines about it")
        lines = lamson.log_lines(waiting)
        seconds = {line[: len("2026-11-29T02:00:00")] for line in lines}
        assert len(lines) <= 2 * len(seconds)
        assert lamson.log_lines("Traceback") == []
    # They are gone, and new ones are served as if nothing had been.
    with socket.create_connection(("127.0.0.1", lamson.port), timeout=60) as client:
        assert client.recv(4096).startswith(GREETING)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, full)
    sent = lamson.command(
        *("send", "-sender", "me@mydomain.com", "-to", "test@test.com", "-subject", "x"),
        *("-body", "y", "-port", str(lamson.port)),
    )
    assert "250" in sent
    lamson.wait_log("submitted")
