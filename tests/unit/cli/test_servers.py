"""`lamson stop` and `lamson status` on servers of the test's own."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from lamson.cli.servers import NOT_RUNNING
from lamson.errors import UnavailableError
from lamson.service import daemon, health, pidfile
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]


@pytest.fixture(autouse=True)
def _nobody_listens(lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the usual port somebody else may, who has nothing to do with these tests."""
    monkeypatch.setenv("LAMSON_LMTP__LISTEN", f"unix:{project}/run/nobody")


@pytest.fixture
def launch(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Starts a server that waits for SIGTERM, or ignores it; gives its pid."""
    run = project / "run"

    def launch(name: str, *, deaf: bool = False) -> int:
        def serve(ready: Callable[[str], None]) -> None:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            ready(f"LMTP on {name}")
            if deaf:
                signal.pause()
            signal.sigwait({signal.SIGTERM})

        daemon.daemonise(run / f"{name}.pid", serve, None)
        pid = pidfile.read(run / f"{name}.pid")
        assert pid is not None
        return pid

    # Nobody answers there, whatever else runs on this machine.
    monkeypatch.setenv("LAMSON_LMTP__LISTEN", f"127.0.0.1:{free_port()}")
    yield launch
    for file in run.glob("*.pid"):
        assert daemon.terminate(file, 0, kill=True)


def test_stop_ends_the_mail_server_alone(
    lamson: Lamson, project: Path, launch: Callable[..., int]
) -> None:
    pid, log = launch("lamson"), launch("log")
    done = lamson("status")
    assert done.status == 69, "what runs here answers nobody"
    told = f"lamson: running (pid {pid}), LMTP on lamson\nlog: running (pid {log}), LMTP on log\n"
    assert done.out.startswith(f"{told}lamson is down\n  lmtp on ")
    assert lamson("stop").out == f"stopped lamson (pid {pid})\n"
    done = lamson("status")
    assert done.status == 3
    assert done.out == f"lamson: not running\nlog: running (pid {log}), LMTP on log\n"
    assert lamson("stop") == lamson("stop")
    assert lamson("stop").out == "nothing is running\n"


@pytest.mark.parametrize("spelling", ["-ALL", "--ALL", "-all", "--all"])
def test_stop_all(lamson: Lamson, launch: Callable[..., int], spelling: str) -> None:
    pid, log = launch("lamson"), launch("log")
    done = lamson("stop", spelling, "run")
    assert done.status == 0
    assert done.out == f"stopped lamson (pid {pid})\nstopped log (pid {log})\n"


def test_stop_by_pid_file(lamson: Lamson, launch: Callable[..., int]) -> None:
    pid = launch("other")
    assert lamson("stop", "-pid", "run/other.pid").out == f"stopped other (pid {pid})\n"


def test_what_does_not_end_is_killed_only_when_asked(
    lamson: Lamson, launch: Callable[..., int]
) -> None:
    pid = launch("lamson", deaf=True)
    done = lamson("stop", "-timeout", "0.05")
    assert done.status == os.EX_UNAVAILABLE
    assert "has not ended after 0.05 s; -KILL" in done.err
    done = lamson("stop", "-timeout", "0.05", "-KILL")
    assert done.out == f"stopped lamson (pid {pid})\n"


def test_broken_settings_do_not_keep_a_server_from_being_stopped(
    lamson: Lamson, project: Path, launch: Callable[..., int]
) -> None:
    pid = launch("lamson")
    (project / "config" / "settings.py").write_text("settings = (")
    restarted = lamson("restart")
    assert restarted.status == os.EX_CONFIG
    done = lamson("stop")
    assert done.out == f"stopped lamson (pid {pid})\n"
    assert "config/settings.py:1: syntax error" in done.err


def test_wrong_use(lamson: Lamson) -> None:
    assert lamson("stop", "-ALL", "none").status == os.EX_USAGE
    assert lamson("stop", "-ALL", ".", "-pid", "x").status == os.EX_USAGE


def test_reload_tells_the_server_that_is_ready(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project / "run"
    done = lamson("reload")
    assert (done.status, done.out) == (3, "nothing is running\n")

    def serve(ready: Callable[[str], None]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGTERM})
        ready("LMTP on lamson")
        while signal.sigwait({signal.SIGHUP, signal.SIGTERM}) == signal.SIGHUP:
            (run / "told").touch()

    daemon.daemonise(run / "lamson.pid", serve, None)
    try:
        with monkeypatch.context() as mistaken:
            mistaken.setenv("LAMSON_HANDLERS", "no_such_module_of_mine")
            done = lamson("reload")
        assert done.status == os.EX_CONFIG
        assert done.err.endswith("; not reloaded\n")
        assert not (run / "told").exists()
        pid = pidfile.read(run / "lamson.pid")
        assert lamson("reload").out.startswith(f"told lamson (pid {pid}) to reload")
        wait_for((run / "told").exists, "the signal")
    finally:
        assert daemon.terminate(run / "lamson.pid", 10)


def test_a_server_that_is_not_ready_would_be_ended_by_the_signal(project: Path) -> None:
    with (
        pidfile.PidFile(project / "run" / "lamson.pid") as file,
        pytest.raises(UnavailableError, match="is starting still"),
    ):
        daemon.reload(file.path)


def test_the_status_of_a_project_without_a_database(lamson: Lamson, project: Path) -> None:
    """Nothing is said of what it has not: no database, no outbox, no submission."""
    done = lamson("status")
    assert (done.status, done.out) == (NOT_RUNNING, "lamson: not running\n")
    told = json.loads(lamson("status", "-json").out)
    assert (told["state"], told["running"], told["servers"]) == ("down", False, {})
    with pidfile.PidFile(project / "run" / "lamson.pid"):
        done = lamson("status", "-timeout", "60")
        assert done.status == os.EX_UNAVAILABLE
        first, down, problem, *rest = done.out.splitlines()
        assert first.startswith("lamson: running ")
        assert down == "lamson is down"
        assert problem.startswith("  lmtp on ")
        assert rest == ["run/undeliverable: 0 message(s), 0 % full"]
        told = json.loads(lamson("status", "-json").out)
    assert (told["servers"], len(told["problems"])) == ({"lmtp": False}, 1)
    assert (told["database"], told["submission"], told["outbox"], told["late"]) == (
        None, None, None, [],
    )  # fmt: skip


def test_why_mail_was_put_off_is_told_before_it_is_late(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password leaves the port answering, and the service healthy for a while."""
    why = "submission: 535 5.7.8 \x9b2Jno"
    found = health.Health(True, "", outbox=health.Waiting(1, 3.0, 1, why))
    monkeypatch.setattr(health, "look", lambda *given: found)
    with pidfile.PidFile(project / "run" / "lamson.pid"):
        told = lamson("status").out.splitlines()[-1]
    assert told == (
        "outbox: 1 message(s), the oldest for 3 s, 1 of them put off: submission: 535 5.7.8 ?2Jno"
    ), "what a server says of a stranger's mail, without what a terminal obeys"
