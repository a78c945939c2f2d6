"""lamson.service.supervisor: the real `lamson start`, its workers killed, reloaded, recycled and
drained.
"""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from lamson.service import pidfile
from tests.server_process import ServerProcess
from tests.service import LamsonService
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

SETTINGS = """
from lamson.settings import Lmtp, Settings, Submission

settings = Settings(
    submission=Submission("127.0.0.1:1"),
    handlers=["handlers"],
    route_defaults={"host": r"test\\.com"},
    metadata=None,
    workers=int(__import__("os").environ.get("WORKERS", "1")),
)
"""

HANDLERS = """
import os, signal, threading
from pathlib import Path
from lamson import MailRequest, SMTPError, route, stateless

@route("(user)@(host)", user=".+")
@stateless
def handle(message: MailRequest, user: str, host: str) -> None:
    if user == "die":
        with open("deaths", "a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    if user == "exit":
        with open("deaths", "a") as file:
            file.write("x")
        os._exit(3)
    if user == "fork" and os.fork() == 0:
        while not Path("go").exists():
            threading.Event().wait(0.01)
        os._exit(0)
    if user == "wait":
        Path("waiting").touch()
        while not Path("go").exists():
            threading.Event().wait(0.01)
    if user == "stuck":
        threading.Event().wait()
    raise SMTPError(550, "5.7.1", "VERSION 1")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(SETTINGS)
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


@pytest.fixture
def service(project: Path) -> Iterator[LamsonService]:
    with LamsonService(project) as service:
        yield service


def workers(service: LamsonService) -> list[int]:
    """The worker processes, oldest first."""
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


class Client:
    """An LMTP client that sees each recipient's reply."""

    def __init__(self, service: LamsonService) -> None:
        self.lmtp = smtplib.LMTP("127.0.0.1", service.port, timeout=60)
        self.lmtp.ehlo()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.lmtp.close()

    def send(self, user: str, content: bytes = b"Subject: x\r\n\r\nx\r\n") -> tuple[int, bytes]:
        self.lmtp.mail("z@e.example")
        self.lmtp.rcpt(f"{user}@test.com")
        return self.lmtp.data(content)


def send(service: LamsonService, user: str) -> bytes:
    """One message on a connection of its own; gives the reply."""
    with Client(service) as client:
        return client.send(user)[1]


def in_thread(function: Callable[[], T]) -> tuple[threading.Thread, list[T]]:
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()
    return thread, results


def has_replaced(service: LamsonService, old: int) -> bool:
    return workers(service) not in ([], [old])


def has_workers(service: LamsonService, count: int) -> bool:
    return len(workers(service)) == count


def test_a_killed_worker_is_replaced_and_no_connection_is_refused(service: LamsonService) -> None:
    for _ in range(5):
        (old,) = workers(service)
        os.kill(old, signal.SIGKILL)
        # The listener is the supervisor's: this waits in its backlog for the next worker.
        assert b"VERSION 1" in send(service, "a")
        wait_for(partial(has_replaced, service, old), "a new worker")
    assert len(service.log_lines("ended with signal 9; replacing it")) == 5


def test_sigterm_lets_a_transaction_finish_and_ends_idle_sessions(
    service: LamsonService, project: Path
) -> None:
    with Client(service) as idle:
        busy, results = in_thread(lambda: send(service, "wait"))
        wait_for((project / "waiting").exists, "the handler is running")
        os.kill(service.pid, signal.SIGTERM)
        assert idle.lmtp.getreply() == (421, b"4.3.2 Service shutting down; try again later")
    (project / "go").touch()
    busy.join(60)
    assert b"VERSION 1" in results[0]
    service.stop()
    assert pidfile.read(project / "run" / "lamson.pid") is None


def test_sighup_brings_new_handlers_without_refusing_a_connection(
    service: LamsonService, project: Path
) -> None:
    (old,) = workers(service)
    assert b"VERSION 1" in send(service, "a")
    (project / "handlers.py").write_text(HANDLERS.replace("VERSION 1", "VERSION 2, new"))
    os.kill(service.pid, signal.SIGHUP)
    wait_for(lambda: b"VERSION 2" in send(service, "a"), "the new handlers answer")
    wait_for(lambda: old not in workers(service), "the old worker is gone")
    service.wait_log("reloaded: every worker was replaced")


@pytest.mark.parametrize("handlers", ['["handlers"]', "[]"])
def test_who_has_no_route_is_told_once(project: Path, handlers: str) -> None:
    settings = SETTINGS.replace('handlers=["handlers"]', f"handlers={handlers}")
    (project / "config" / "settings.py").write_text(settings)
    with LamsonService(project, WORKERS="2") as service:
        warned = service.log_lines("WARNING", "no route in any handler module: all mail is refused")
        assert len(warned) == (handlers == "[]")


def test_sighup_changes_the_number_of_workers(service: LamsonService, project: Path) -> None:
    for count in (3, 1):
        file = project / "config" / "settings.py"
        file.write_text(SETTINGS.replace('"WORKERS", "1"', f'"WORKERS", "{count}"'))
        os.kill(service.pid, signal.SIGHUP)
        wait_for(partial(has_workers, service, count), f"{count} worker(s)")


def test_a_reload_says_what_it_does_not_take_in(service: LamsonService, project: Path) -> None:
    file = project / "config" / "settings.py"
    changed = 'log_level="DEBUG", socketmap={"listen": "127.0.0.1:1"}, metadata=None,'
    file.write_text(SETTINGS.replace("metadata=None,", changed))
    warning = "what changed in log_level, socketmap.listen: use `lamson restart`"
    for count in (1, 2):  # as long as there was no restart
        os.kill(service.pid, signal.SIGHUP)
        service.wait_log("WARNING", warning, count=count)
    file.write_text(SETTINGS)
    os.kill(service.pid, signal.SIGHUP)
    service.wait_log("reloaded: every worker was replaced", count=3)
    warnings = service.log_lines("WARNING")
    assert len([one for one in warnings if "started as root" not in one]) == 2


def test_sigterm_is_obeyed_while_a_new_worker_gets_ready(
    service: LamsonService, project: Path
) -> None:
    gate = "import threading\nopen('importing', 'w').close()\nthreading.Event().wait()\n"
    (project / "handlers.py").write_text(gate + HANDLERS)
    os.kill(service.pid, signal.SIGHUP)
    wait_for((project / "importing").exists, "the new worker imports its handlers")
    service.stop()  # long before the new worker had to be ready


def test_a_worker_that_is_told_to_end_as_it_is_born_ends(
    service: LamsonService, project: Path
) -> None:
    """It has its supervisor's handlers yet, with which it must not hear what it is told."""
    told = "os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
    (project / "config" / "settings.py").write_text(f"import os, signal\n{SETTINGS}{told}")
    os.kill(service.pid, signal.SIGHUP)
    service.wait_log("stays: its replacement failed", "ended before it was ready")


def test_a_process_that_a_handler_forked_does_not_hold_the_service_up(
    service: LamsonService, project: Path
) -> None:
    (old,) = workers(service)
    assert b"VERSION 1" in send(service, "fork")
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: workers(service) not in ([], [old]), "a new worker")
    (project / "go").touch()


def test_a_mistake_in_new_handlers_leaves_the_old_ones_running(
    service: LamsonService, project: Path
) -> None:
    (project / "handlers.py").write_text("this is a mistake, and longer than before\n")
    os.kill(service.pid, signal.SIGHUP)
    service.wait_log("stays: its replacement failed", "handlers.py:1")
    assert b"VERSION 1" in send(service, "a")
    (project / "config" / "settings.py").write_text("settings = 17\n")
    os.kill(service.pid, signal.SIGHUP)
    service.wait_log("not reloaded, the old workers stay", "config/settings.py")
    assert b"VERSION 1" in send(service, "a")
    (project / "config" / "settings.py").write_text("raise SystemExit('SECRET is not set')\n")
    os.kill(service.pid, signal.SIGHUP)
    service.wait_log("not reloaded, the old workers stay", "SECRET is not set")
    assert b"VERSION 1" in send(service, "a")


def test_a_worker_that_cannot_be_forked_is_forked_later(service: LamsonService) -> None:
    (old,) = workers(service)
    before = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    os.kill(service.pid, signal.SIGHUP)  # fails, too
    os.kill(old, signal.SIGKILL)
    service.wait_log("ERROR", "no worker can be forked")
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)
    assert b"VERSION 1" in send(service, "a")


def test_a_worker_whose_handler_hangs_is_recycled(project: Path) -> None:
    with LamsonService(project, LAMSON_HANDLER_DEADLINE="2") as service:
        (old,) = workers(service)
        assert send(service, "stuck").startswith(b"4.3.0 Local error")
        wait_for(lambda: old not in workers(service), "the stuck worker is gone")
        # The first mail of a new worker may be late, too, where the machine is slow.
        wait_for(lambda: b"VERSION 1" in send(service, "a"), "mail is handled again")


@pytest.mark.parametrize("user", ["die", "exit"])
def test_a_message_that_kills_its_worker_five_times_is_kept(
    service: LamsonService, project: Path, user: str
) -> None:
    def attempt() -> bytes:
        try:
            return send(service, user)
        except (smtplib.SMTPServerDisconnected, ConnectionResetError):
            return b""

    reply = wait_for(attempt, "the message is taken")
    assert b"2.0.0" in reply
    assert (project / "deaths").read_text() == "xxxxx"
    (kept,) = (project / "run" / "undeliverable" / "new").iterdir()
    assert b"ended 5 worker processes" in kept.read_bytes()
    service.wait_log("ERROR", "not handled, kept")
    assert b"VERSION 1" in send(service, "a")


def test_workers_share_the_listener_and_outlive_their_supervisor_only_to_drain(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKERS", "2")
    service = LamsonService(project).start()
    both = workers(service)
    assert len(both) == 2
    service.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in both), "the workers ended")
    with service:
        assert b"VERSION 1" in send(service, "a")


def test_a_second_start_is_refused(service: LamsonService, project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lamson", "start"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == os.EX_UNAVAILABLE
    assert f"already running (pid {service.pid}" in done.stderr


def test_a_port_in_use_starts_nothing(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "lamson", "start"],
            cwd=project,
            env={**os.environ, "LAMSON_LMTP__LISTEN": f"127.0.0.1:{port}"},
            capture_output=True,
            text=True,
        )
    assert done.returncode == os.EX_UNAVAILABLE
    assert f"127.0.0.1:{port}" in done.stderr
    assert pidfile.read(project / "run" / "lamson.pid") is None


def test_systemd_passes_the_socket_and_is_told(project: Path, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", free_port())) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified,
    ):
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(60)
        script = (
            "import os, sys\n"
            f"os.dup2({listener.fileno()}, 3)\n"
            "os.environ['LISTEN_PID'] = str(os.getpid())\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'lamson', 'start', '-foreground'])\n"
        )
        lamson = ServerProcess("lamson", project / "output")
        lamson.start(
            [sys.executable, "-c", script],
            lambda: select.select([notified], [], [], 0)[0],
            cwd=project,
            env={**os.environ, "LISTEN_FDS": "1", "NOTIFY_SOCKET": str(tmp_path / "notify")},
            pass_fds=[listener.fileno()],
        )
        try:
            assert notified.recv(100) == b"READY=1"
            host, port = listener.getsockname()
            with smtplib.LMTP(host, port, timeout=60) as lmtp:
                assert lmtp.noop()[0] == 250
        finally:
            assert lamson.stop() == 0
        assert notified.recv(100) == b"STOPPING=1"


def test_it_starts_where_it_is_installed_within_the_project(project: Path) -> None:
    packages = project / ".venv" / "site-packages"
    for package in ("lamson", "lamson_lmtp"):
        shutil.copytree(ROOT / package, packages / package)
    with LamsonService(project, PYTHONPATH=str(packages)) as service:
        assert b"VERSION 1" in send(service, "a")


@pytest.mark.parametrize("kind", ["handlers", "filters"])
def test_a_restart_with_a_mistake_in_a_handler_leaves_the_service_running(
    service: LamsonService, project: Path, kind: str
) -> None:
    pid = service.pid
    (project / "odd.py").write_text("import nonsuch\n")
    done = subprocess.run(
        [sys.executable, "-m", "lamson", "restart"],
        cwd=project,
        env={**service.environment, f"LAMSON_{kind.upper()}": '["odd"]'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == os.EX_CONFIG
    assert "nonsuch" in done.stderr
    assert "not stopped" in done.stderr
    assert pidfile.read(project / "run" / "lamson.pid") == pid
    assert b"VERSION 1" in send(service, "a")
