import errno
import fcntl
import grp
import os
import re
import shutil
import socket
import stat
import threading
from pathlib import Path

import pytest

from lamson.errors import SettingsError, UnavailableError
from lamson.net.listen import bind, describe


def test_tcp() -> None:
    with bind("127.0.0.1:0") as sock:
        name = describe(sock)
        assert name == f"127.0.0.1:{sock.getsockname()[1]}"
        assert not sock.getblocking()
        with socket.create_connection(sock.getsockname(), timeout=5):
            pass


def test_tcp_by_name() -> None:
    with bind("localhost:0") as sock:
        assert sock.getsockname()[0] in ("127.0.0.1", "::1")


def test_a_localhost_that_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings take its name for loopback, which nobody else reaches."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 8823))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    with pytest.raises(UnavailableError, match=r"'localhost' is 192\.0\.2\.1 here"):
        bind("localhost:8823")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_tcp_over_ipv6() -> None:
    with bind("[::1]:0") as sock:
        assert describe(sock) == f"[::1]:{sock.getsockname()[1]}"


def test_port_in_use() -> None:
    with bind("127.0.0.1:0") as sock:
        name = describe(sock)
        with pytest.raises(UnavailableError, match=f"cannot listen on {name}: it is in use"):
            bind(name)
    bind(name).close()


@pytest.mark.parametrize("host", ["host.invalid", "host..example"])
def test_unknown_host(host: str) -> None:
    with pytest.raises(UnavailableError, match=f"no address is known for '{re.escape(host)}'"):
        bind(f"{host}:25")


def test_address_of_another_machine() -> None:
    with pytest.raises(UnavailableError, match=r"cannot listen on 192\.0\.2\.1:0"):
        bind("192.0.2.1:0")


@pytest.mark.parametrize(
    "listen",
    ["", "8823", ":8823", "host", "host:", "host:x", "host:-1", "host:65536", "::1:25", "[]:1"],
)
def test_what_is_no_address(listen: str) -> None:
    with pytest.raises(SettingsError, match="expected host:port"):
        bind(listen)


def test_unix(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    with bind(f"unix:{path}") as sock:
        assert describe(sock) == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_mode_and_group(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    group = grp.getgrgid(os.getgid()).gr_name
    with bind(f"unix:{path}", mode=0o606, group=group):
        assert stat.S_IMODE(path.stat().st_mode) == 0o606
        assert path.stat().st_gid == os.getgid()


def test_unknown_group_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    with pytest.raises(UnavailableError, match="no such group"):
        bind(f"unix:{path}", group="nosuchgroup")
    assert not path.exists()


def test_a_group_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chown(path: Path, group: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    monkeypatch.setattr(shutil, "chown", chown)
    path = tmp_path / "lmtp.sock"
    with pytest.raises(UnavailableError, match=r"not in the group postfix.*usermod") as raised:
        bind(f"unix:{path}", group="postfix")
    assert raised.value.exit_code == os.EX_NOPERM
    assert not path.exists()


def test_stale_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    bind(f"unix:{path}").close()
    assert path.exists()
    with bind(f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_file_in_use_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    with bind(f"unix:{path}"):
        with pytest.raises(UnavailableError, match="it is in use"):
            bind(f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_other_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    path.write_text("precious")
    with pytest.raises(UnavailableError, match="it exists and is not a socket"):
        bind(f"unix:{path}")
    assert path.read_text() == "precious"


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="No such file or directory"):
        bind(f"unix:{tmp_path}/no/lmtp.sock")


def test_path_too_long(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="too long"):
        bind(f"unix:{tmp_path}/{'x' * 108}")


def test_umask_is_as_before(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        bind(f"unix:{tmp_path}/lmtp.sock").close()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_two_starts_at_once_do_not_take_the_path_from_each_other(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    directory = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)  # as another start that has bound, and not listened yet
    first = socket.socket(socket.AF_UNIX)
    first.bind(str(path))
    found: list[str] = []

    def second() -> None:
        try:
            bind(f"unix:{path}").close()
        except UnavailableError as error:
            found.append(str(error))

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    first.listen()
    os.close(directory)
    thread.join(10)
    first.close()
    assert len(found) == 1
    assert "it is in use" in found[0]
