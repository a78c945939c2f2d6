"""tests.server_process: servers that start, do not, end, do not."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.server_process import ServerProcess
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY = "import sys, threading; print('ready', flush=True); threading.Event().wait()"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess("the server", tmp_path / "output", log=lambda: "what is in its log")
    yield server
    server.kill()


def start(server: ServerProcess, program: str, **options: float) -> None:
    # With its end: where the environment has PYTHONUNBUFFERED, print() writes that by itself.
    ready = "ready\n"
    server.start([sys.executable, "-c", program], lambda: ready in server.output(), **options)


def test_it_is_started_and_ended_and_started_again(server: ServerProcess) -> None:
    for _ in range(2):
        start(server, READY)
        assert server.output() == "ready\n"
        assert server.stop() == -signal.SIGTERM
    assert server.stop() is None
    server.kill()


def test_one_that_ends_at_once_says_why(server: ServerProcess) -> None:
    with pytest.raises(AssertionError, match=r"the server did not start \(3\): no room") as raised:
        start(server, "import sys; print('no room', file=sys.stderr); sys.exit(3)")
    assert str(raised.value).endswith("what is in its log")
    assert server.stop() is None
    start(server, READY)
    server.kill()


def test_one_that_does_not_get_ready_is_ended(server: ServerProcess) -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.2 s: the server to be ready: "):
        start(server, READY.replace("'ready'", "'rea' 'ding'"), timeout=0.2)
    with pytest.raises(AssertionError, match="the server is not started"):
        server.send_signal(signal.SIGHUP)


def test_one_that_does_not_end_is_killed(server: ServerProcess) -> None:
    start(server, DEAF)
    with pytest.raises(AssertionError, match=r"the server has not ended within 0\.2 s: ready"):
        server.stop(timeout=0.2)
    assert server.stop() is None


def test_it_is_waited_for_where_somebody_else_ends_it(server: ServerProcess) -> None:
    start(server, READY)
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait() == -signal.SIGTERM


def test_errors_may_go_elsewhere(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    server = ServerProcess("the server", tmp_path / "output", errors)
    # Where the tests run in the background of a shell, children ignore SIGINT.
    obey = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start(server, f"{obey}; import sys; print('oh', file=sys.stderr, flush=True); {READY}")
    assert errors.read_text() == "oh\n"
    assert server.output() == "ready\noh\n"
    server.send_signal(signal.SIGINT)
    wait_for(lambda: "KeyboardInterrupt" in errors.read_text(), "the signal to arrive")
    server.kill()
