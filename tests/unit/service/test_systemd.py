"""lamson.service.systemd: what systemd is told, and whose sockets are taken for one's own."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from lamson.service import systemd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize("is_abstract", [False, True])
def test_it_is_told_at_the_socket_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_abstract: bool
) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind("\0" + path if is_abstract else path)
        told.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + path if is_abstract else path)
        systemd.notify("READY=1")
        assert told.recv(100) == b"READY=1"


def test_nobody_is_told_where_there_is_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    systemd.notify("READY=1")


def test_sockets_for_another_process_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    assert systemd.inherited_sockets() == []


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where systemd would listen; what is not there yet is a BlockingIOError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield told


def test_signs_of_life_come_in_time_and_not_more_often(
    told: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setenv("WATCHDOG_USEC", "8000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    watchdog = systemd.Watchdog()
    assert (watchdog.seconds, watchdog.due()) == (8.0, 0.0)
    watchdog.sign()
    assert told.recv(100) == b"WATCHDOG=1"
    assert watchdog.due() == 2.0
    now = 101.9
    watchdog.sign()
    with pytest.raises(BlockingIOError):
        told.recv(100)
    now = 200.0
    watchdog.sign()
    assert told.recv(100) == b"WATCHDOG=1"
    assert watchdog.due() == 2.0, "those that were left out are not made up for"


@pytest.mark.parametrize(
    ("microseconds", "pid"), [("", None), ("0", None), ("x", None), ("-1", None), ("8", "1")]
)
def test_nobody_waits_for_signs_of_life(
    told: socket.socket, monkeypatch: pytest.MonkeyPatch, microseconds: str, pid: str | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    if pid is None:
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
    else:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    watchdog = systemd.Watchdog()
    assert (watchdog.seconds, watchdog.due()) == (None, None)
    watchdog.sign()
    with pytest.raises(BlockingIOError):
        told.recv(100)
