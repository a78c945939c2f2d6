"""Whoever reaches a listener gets no further than LMTP, a lookup or a milter's questions go."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.service import LamsonService
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.security.neighbour import Neighbour

pytestmark = pytest.mark.slow

# In a browser's or a server's POST the page chooses the body alone.
BODY = (
    "LHLO web.example\r\n"
    "XFORWARD NAME=trusted.example ADDR=192.0.2.1 IDENT=4jcM2l6H2ZzKfZC\r\n"
    "MAIL FROM:<boss@example.com>\r\nRCPT TO:<test@test.com>\r\nDATA\r\n"
    "Subject: forged\r\n\r\njunk\r\n.\r\nQUIT\r\n"
)
QUIET = 0.3  # seconds that a client has to say something useful in


@pytest.fixture
def lamson(tmp_path: Path) -> Iterator[LamsonService]:
    """The generated project, with a socketmap."""
    LamsonService(tmp_path).command("gen", "-project", "p")
    service = LamsonService(
        tmp_path / "p",
        LAMSON_SOCKETMAP__LISTEN=f"127.0.0.1:{free_port()}",
        LAMSON_STATUS__LISTEN=f"127.0.0.1:{free_port()}",
        LAMSON_LMTP__IDLE_TIMEOUT=str(QUIET),
        LAMSON_SUBMISSION__SERVER="127.0.0.1:1",
    )
    service.command("syncdb")
    with service:
        yield service


CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def test_the_recommended_listener_is_closed_to_a_neighbour(
    street: Path, neighbour: Neighbour
) -> None:
    """The unix socket has its mode from the first moment on, whatever the umask."""
    LamsonService(street).command("gen", "-project", "p")
    sockets = street / "sockets"
    sockets.mkdir()
    sockets.chmod(0o755)  # wider than recommended: the sockets' mode alone has to hold
    service = LamsonService(
        street / "p",
        LAMSON_LMTP__LISTEN=f"unix:{sockets}/lmtp",
        LAMSON_SOCKETMAP__LISTEN=f"unix:{sockets}/socketmap",
        LAMSON_STATUS__LISTEN=f"unix:{sockets}/status",
    )
    service.command("syncdb")
    with service:
        for name in ("lmtp", "socketmap", "status"):
            tried = neighbour.python(CONNECT, str(sockets / name))
            assert "PermissionError" in tried.stderr, tried


def port_of_lookups(lamson: LamsonService) -> int:
    return int(lamson.environment["LAMSON_SOCKETMAP__LISTEN"].rpartition(":")[2])


def test_http_brings_no_mail(lamson: LamsonService) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl")
    for port in (lamson.port, port_of_lookups(lamson)):
        url = f"http://127.0.0.1:{port}/"
        posted = subprocess.run(
            [curl, "--silent", "--http0.9", "--max-time", "20", "--data-binary", "@-", url],
            input=BODY,
            text=True,
            capture_output=True,
            check=False,
        )
        assert "250" not in posted.stdout, posted
    line = lamson.wait_log("hung up on [127.0.0.1], which does not speak LMTP")
    assert "POST / HTTP/1.1" in str(line)
    lamson.wait_log("socketmap: closed the connection of [127.0.0.1]")
    assert lamson.log_lines(" received ") == []


@pytest.mark.parametrize("drip", [b"L", b"NOOP\r\n"])
def test_a_client_that_drips_is_sent_away(lamson: LamsonService, drip: bytes) -> None:
    with socket.create_connection(("127.0.0.1", lamson.port), timeout=60) as client:
        client.settimeout(QUIET / 10)
        said = b""

        def is_over() -> bool:
            nonlocal said
            try:
                client.send(drip)
                data = client.recv(4096)
            except TimeoutError:
                return False
            except ConnectionError:
                return True
            said += data
            return not data or b"\r\n421 " in said

        wait_for(is_over, "a client that drips to be sent away")


@pytest.mark.parametrize(
    ("setting", "listen"),
    [
        ("LMTP", "192.0.2.1:8823"),
        ("LMTP", "mx.example.com:8823"),
        ("LMTP", "0.0.0.0:8823"),
        ("SOCKETMAP", "192.0.2.1:8824"),
        ("MILTER", "192.0.2.1:8825"),
    ],
)
def test_who_may_connect_has_to_be_said(tmp_path: Path, setting: str, listen: str) -> None:
    """A certificate of ours says nothing about the client."""
    LamsonService(tmp_path).command("gen", "-project", "p")
    (tmp_path / "key").touch(0o600)
    environment = {f"LAMSON_{setting}__LISTEN": listen}
    if setting == "LMTP":
        certificate = {"CERTIFICATE": "cert", "KEY": str(tmp_path / "key")}
        environment |= {f"LAMSON_LMTP__TLS_{name}": file for name, file in certificate.items()}
    for command in ("config", "start"):
        refused = subprocess.run(
            [sys.executable, "-m", "lamson", command],
            cwd=tmp_path / "p",
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == os.EX_CONFIG, refused
        assert f"{listen} is no loopback address" in refused.stderr


def test_a_thousand_who_ask_how_it_is_cost_nobody_a_place(lamson: LamsonService) -> None:
    """They say nothing, or not HTTP, while the mail server stands still; then somebody asks."""
    host, _, port = lamson.environment["LAMSON_STATUS__LISTEN"].rpartition(":")

    def connect() -> socket.socket:
        return socket.create_connection((host, int(port)), 60)

    def ask() -> bytes:
        with connect() as sock, suppress(ConnectionError):
            sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return sock.makefile("rb").read()
        return b""

    children = Path(f"/proc/{lamson.pid}/task/{lamson.pid}/children").read_text().split()
    mail = int(children[0])
    os.kill(mail, signal.SIGSTOP)
    crowd = []
    try:
        for number in range(1000):
            crowd.append(connect())
            if number % 2:
                with suppress(ConnectionError):
                    crowd[-1].sendall(b"MAIL FROM:<>\r\n" * 10)
        for one in crowd:
            one.close()
        wait_for(
            lambda: ask().startswith(b"HTTP/1.1 200 "), "an answer as soon as there is a place"
        )
    finally:
        os.kill(mail, signal.SIGCONT)
        for one in crowd:
            one.close()


def test_so_has_it_for_a_socket_that_systemd_holds(tmp_path: Path) -> None:
    """Whatever `listen` says: the socket is bound already."""
    LamsonService(tmp_path).command("gen", "-project", "p")
    LamsonService(tmp_path / "p").command("syncdb")
    with socket.create_server(("0.0.0.0", 0)) as listener:
        script = (
            "import os, sys\n"
            f"os.dup2({listener.fileno()}, 3)\n"
            "os.environ['LISTEN_PID'] = str(os.getpid())\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'lamson', 'start', '-foreground'])\n"
        )
        refused = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path / "p",
            env={**os.environ, "LISTEN_FDS": "1"},
            pass_fds=[listener.fileno()],
            capture_output=True,
            text=True,
            check=False,
        )
        where = f"0.0.0.0:{listener.getsockname()[1]}"
    assert refused.returncode == os.EX_CONFIG, refused
    assert f"LMTP on {where}: lmtp.listen: {where} is no loopback address" in refused.stderr


def test_a_reload_does_not_open_a_socket_to_everybody(tmp_path: Path) -> None:
    """What is bound stays so: without `allow` it would have nobody who asks."""
    LamsonService(tmp_path).command("gen", "-project", "p")
    project = tmp_path / "p"
    service = LamsonService(project, LAMSON_SUBMISSION__SERVER="127.0.0.1:1")
    del service.environment["LAMSON_LMTP__LISTEN"]
    settings = project / "config" / "settings.py"
    former = settings.read_text()
    port = free_port()
    exposed = f'Lmtp("0.0.0.0:{port}", allow=["192.0.2.1"])'
    settings.write_text(former.replace('Lmtp("127.0.0.1:8823")', exposed))
    service.command("syncdb")
    with service:
        settings.write_text(former)
        os.kill(service.pid, signal.SIGHUP)
        service.wait_log("not reloaded, the old workers stay", "is no loopback address")
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            assert stranger.recv(100).startswith(b"554 ")
