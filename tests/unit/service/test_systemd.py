"""lamson.service.systemd: what systemd is told, and whose sockets are taken for one's own."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from lamson.service import systemd

if TYPE_CHECKING:
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
