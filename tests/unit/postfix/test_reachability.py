"""lamson.postfix.reachability: whether a server answers, as far as we may know."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from lamson.postfix import reachability

if TYPE_CHECKING:
    from pathlib import Path


def why(queue: Path, item: str) -> str:
    return reachability.why(item, str(queue))


def test_a_unix_socket_is_tried_from_outside_of_the_chroot_and_inside(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        items = f"unix:{tmp_path}/sock", "unix:sock", "proxy:socketmap:unix:/sock:name"
        assert [why(tmp_path, item) for item in items] == ["Connection refused"] * 3
        server.listen()
        assert [why(tmp_path, item) for item in items] == [""] * 3
    assert why(tmp_path, "unix:elsewhere") == "No such file or directory"
    assert why(tmp_path, f"hash:{tmp_path}/elsewhere") == ""


def test_a_socket_that_we_may_not_try_is_not_called_silent(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700 if os.geteuid() == 0 else 0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        assert why(tmp_path, f"unix:{closed}/sock") == ""
        assert why(closed, "unix:sock") == ""
    finally:
        os.seteuid(user)
        closed.chmod(0o700)
