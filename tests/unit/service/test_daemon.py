"""Pid files and background processes, tried with real ones."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lamson.errors import LamsonError, UnavailableError
from lamson.service import daemon
from lamson.service.daemon import daemonise, terminate
from lamson.service.pidfile import read, read_description

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def pid_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "run" / "server.pid"
    yield path
    assert terminate(path, 60, kill=True)


def serve(ready: Callable[[str], None]) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ready("listening on 127.0.0.1:8823")
    signal.sigwait({signal.SIGTERM})


def test_a_daemon_is_ready_when_the_call_returns_and_ends_when_asked(pid_file: Path) -> None:
    assert daemonise(pid_file, serve, None) == "listening on 127.0.0.1:8823"
    pid = read(pid_file)
    assert pid not in (None, os.getpid())
    assert read_description(pid_file) == "listening on 127.0.0.1:8823"
    with pytest.raises(UnavailableError, match=f"already running .pid {pid}"):
        daemonise(pid_file, serve, None)
    assert terminate(pid_file, 60)
    assert read(pid_file) is None
    assert not pid_file.exists()


def test_a_daemon_that_does_not_listen_to_sigterm_is_killed_only_when_asked(
    pid_file: Path,
) -> None:
    def deaf(ready: Callable[[str], None]) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ready("deaf")
        signal.pause()

    daemonise(pid_file, deaf, None)
    assert not terminate(pid_file, 0.05)
    assert read(pid_file) is not None
    assert terminate(pid_file, 0.05, kill=True)
    assert read(pid_file) is None


def test_the_cause_of_a_failed_start_reaches_the_caller(pid_file: Path, tmp_path: Path) -> None:
    def refuse(ready: Callable[[str], None]) -> None:
        error = LamsonError("config/settings.py:3: no")
        error.exit_code = os.EX_CONFIG
        raise error

    def crash(ready: Callable[[str], None]) -> None:
        raise ZeroDivisionError("oops")

    def lose_a_file(ready: Callable[[str], None]) -> None:
        open("/nonexistent/file").close()

    with pytest.raises(UnavailableError, match=r"^config/settings.py:3: no$") as refused:
        daemonise(pid_file, refuse, None)
    assert refused.value.exit_code == os.EX_CONFIG
    log = tmp_path / "logs" / "server.log"
    with pytest.raises(UnavailableError, match=r"^ZeroDivisionError: oops$") as crashed:
        daemonise(pid_file, crash, log)
    assert crashed.value.exit_code == os.EX_SOFTWARE
    assert "in crash" in log.read_text()
    with pytest.raises(UnavailableError, match=r"^/nonexistent/file: No such file") as lost:
        daemonise(pid_file, lose_a_file, None)
    assert lost.value.exit_code == os.EX_OSERR

    def may_not(ready: Callable[[str], None]) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "run/log.pid")

    with pytest.raises(UnavailableError, match=r"^run/log.pid: Permission denied$") as kept_out:
        daemonise(pid_file, may_not, None)
    assert kept_out.value.exit_code == os.EX_NOPERM


def test_a_log_that_cannot_be_is_one_line(
    pid_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LamsonError, match=r"file.*: (Not a directory|File exists)$") as refused:
        daemonise(pid_file, lambda ready: None, tmp_path / "file" / "x.log")
    assert refused.value.exit_code == os.EX_CANTCREAT
    assert capfd.readouterr().err == ""


def test_a_sudden_death_points_at_the_log(pid_file: Path, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with pytest.raises(UnavailableError, match=f"before it was ready; see {log}"):
        daemonise(pid_file, lambda ready: os.kill(os.getpid(), signal.SIGKILL), log)


def test_workers_forked_before_readiness_do_not_keep_the_caller_waiting(pid_file: Path) -> None:
    def supervise(ready: Callable[[str], None]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        worker = os.fork()
        if worker == 0:
            signal.sigwait({signal.SIGTERM})
            os._exit(0)
        ready("supervising")
        signal.sigwait({signal.SIGTERM})
        os.kill(worker, signal.SIGTERM)

    assert daemonise(pid_file, supervise, None) == "supervising"
    assert terminate(pid_file, 60)


def test_the_daemon_lets_go_of_the_callers_pipes(tmp_path: Path) -> None:
    path = tmp_path / "server.pid"
    script = (
        "import pathlib, signal; from lamson.service.daemon import daemonise\n"
        "def run(ready):\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "    ready('up'); print('hidden'); signal.sigwait({signal.SIGTERM})\n"
        f"print(daemonise(pathlib.Path({str(path)!r}), run, None))\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
        )
        assert (done.stdout, done.stderr) == ("up\n", "")
    finally:
        assert terminate(path, 60, kill=True)


def test_an_interrupted_caller_leaves_nothing_behind(
    pid_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "open", _interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        daemonise(pid_file, serve, None)
    assert read(pid_file) is None


def _interrupted(descriptor: int, mode: str) -> None:
    os.read(descriptor, 1)  # the daemon is up
    os.close(descriptor)
    raise KeyboardInterrupt
