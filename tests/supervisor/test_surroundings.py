"""What the real `lamson start` makes of its surroundings: variables, systemd's and others'."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.service import LamsonService

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

SETTINGS = """
from lamson.settings import Settings

settings = Settings(handlers=[], metadata=None)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(SETTINGS)
    return tmp_path


def test_a_misspelt_variable_is_named(project: Path) -> None:
    name, value = "LAMSON_SUBMISSION_SECRET", "s3cret-of-the-relay"
    with LamsonService(project, **{name: value}) as service:
        (line,) = service.log_lines("WARNING", name)
        assert line.endswith("; did you mean LAMSON_SUBMISSION__SECRET?")
        assert value not in service.output() + "".join(service.log_lines())


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(60)
        yield told


def workers(service: LamsonService) -> list[int]:
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def wait_told(told: socket.socket, what: bytes, count: int = 1) -> None:
    while count:
        count -= told.recv(1000) == what


def test_signs_of_life_stop_when_a_worker_hangs_and_come_again(
    project: Path, tmp_path: Path, told: socket.socket
) -> None:
    """They are due four times a second; a worker may hang for six."""
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "1000000",
        "LAMSON_HANDLER_DEADLINE": "6",
        "LAMSON_WORKERS": "2",
    }
    with LamsonService(project, **environment) as service:
        wait_told(told, b"READY=1")
        wait_told(told, b"WATCHDOG=1", 3)
        (warning,) = service.log_lines("WARNING", "WatchdogSec=")
        assert "systemd waits 1 s" in warning
        hung, healthy = workers(service)
        os.kill(hung, signal.SIGSTOP)
        told.settimeout(1.5)
        with pytest.raises(TimeoutError):
            wait_told(told, b"", 1)
        assert not service.log_lines("stood still for"), "the signs stop before it is killed"
        told.settimeout(60)
        wait_told(told, b"WATCHDOG=1", 3)
        service.wait_log(f"worker {hung} stood still for")
        assert healthy in workers(service)
        service.command("status")
        os.kill(service.pid, signal.SIGHUP)
        wait_told(told, b"RELOADING=1")
        wait_told(told, b"READY=1")
        wait_told(told, b"WATCHDOG=1", 3)
    wait_told(told, b"STOPPING=1")


def test_nobody_is_told_where_systemd_waits_for_nothing(
    project: Path, tmp_path: Path, told: socket.socket
) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "LAMSON_HANDLER_DEADLINE": "1"}
    with LamsonService(project, **environment) as service:
        assert not service.log_lines("WatchdogSec=")
    assert [told.recv(100), told.recv(100)] == [b"READY=1", b"STOPPING=1"]
