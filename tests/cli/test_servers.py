"""The servers of a generated project, from the shell: each command a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from email import message_from_string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lamson.service import daemon, pidfile
from lamson.storage.maildir import Maildir
from tests.server_process import ServerProcess
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class Shell:
    """A shell in a generated project, with ports of its own."""

    def __init__(self, directory: Path) -> None:
        self.lmtp, self.log = free_port(), free_port()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LAMSON_LMTP__LISTEN": f"127.0.0.1:{self.lmtp}",
            "LAMSON_SUBMISSION__SERVER": f"127.0.0.1:{self.log}",
        }
        self.project = directory
        assert self("gen", "-project", "mine").returncode == 0
        self.project = directory / "mine"

    def __call__(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run `lamson` with these arguments."""
        return subprocess.run(
            [sys.executable, "-m", "lamson", *arguments],
            cwd=self.project,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def out(self, *arguments: str, given: str = "") -> str:
        """Run `lamson`, which has to succeed; gives what it printed."""
        done = self(*arguments, given=given)
        told = [line for line in done.stderr.splitlines() if "started as root" not in line]
        assert (done.returncode, told) == (0, [])
        return done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    for file in shell.project.glob("run/*.pid"):
        assert daemon.terminate(file, 60, kill=True)


def test_mail_goes_through_both_servers(shell: Shell) -> None:
    assert shell.out("syncdb").startswith("lamson's tables: none -> ")
    started = shell.out("start")
    assert started == f"lamson is listening: LMTP on 127.0.0.1:{shell.lmtp}\n"
    queue = Maildir(shell.project / "run" / "queue")
    logged = shell.out("log", "-queue", "run/queue", "-port", str(shell.log))
    assert logged == (
        f"lamson log is listening: SMTP on 127.0.0.1:{shell.log}, storing in {queue.path}\n"
    )
    sent = shell(
        *("send", "-sender", "me@mydomain.com", "-to", "test@test.com", "-to", "a@elsewhere.com"),
        *("-subject", "My test.", "-body", "Hi there.", "-port", str(shell.lmtp)),
    )
    assert sent.returncode == 1
    assert sent.stdout.startswith("a@elsewhere.com: 550 5.1.1 ")
    assert sent.stdout.endswith("\ntest@test.com: 250 2.0.0 Ok\n")
    wait_for(queue.count, "the forwarded message in run/queue")

    mutt = ("sendmail", "-port", str(shell.lmtp), "-oem", "-oi", "-f", "me@mydomain.com")
    assert shell.out(*mutt, "--", "two@test.com", given="Subject: second\n\n.\nhi\n") == ""
    wait_for(lambda: queue.count() == 2, "the second message in run/queue")
    first, second = (shell.out("queue", "-name", "run/queue", "-show", key) for key in queue.keys())  # noqa: SIM118
    assert message_from_string(first)["Subject"] == "My test."
    assert message_from_string(first)["X-Original-To"] == "test@test.com"
    assert message_from_string(second).get_payload() == ".\nhi\n"

    status = shell("status")
    assert status.returncode == 0
    lines = status.stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["lamson:", "log:"]
    assert all("running (pid " in line for line in lines[:2])
    assert lines[2:] == [
        "lamson is healthy",
        "outbox: 0 message(s)",
        "run/undeliverable: 0 message(s), 0 % full",
    ]

    before = pidfile.read(shell.project / "run" / "lamson.pid")
    assert shell.out("restart", "-timeout", "60") == f"stopped lamson (pid {before})\n{started}"
    assert pidfile.read(shell.project / "run" / "lamson.pid") not in (None, before)

    stopped = shell.out("stop", "-ALL", "run").splitlines()
    assert [line.split()[1] for line in stopped] == ["lamson", "log"]
    assert shell("status").returncode == 3
    assert not listening(shell.lmtp)
    assert not listening(shell.log)


def test_the_status_tells_how_the_service_is(shell: Shell) -> None:
    """Nobody takes what it sends, which is told; its second listener is a unix socket."""
    shell.environment["LAMSON_SOCKETMAP__LISTEN"] = f"unix:{shell.project}/run/socketmap"

    def status(expected: int, *options: str) -> dict[str, Any]:
        done = shell("status", "-json", *options)
        assert done.returncode == expected, done
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    assert "has no tables yet" in status(3)["problems"][1]
    shell.out("syncdb")
    assert status(3)["problems"] == ["the service is not running"]
    shell.out("start")
    told = status(75)
    assert told["servers"] == {"lmtp": True, "socketmap": True}
    submission = f"submission to 127.0.0.1:{shell.log} does not answer: Connection refused"
    assert (told["state"], told["late"]) == ("degraded", [submission])
    port = str(shell.lmtp)
    shell.out("send", "-sender", "me@mydomain.com", "-to", "test@test.com", "-port", port)
    wait_for(lambda: status(75)["outbox"]["failing"], "an attempt")
    late = status(75, "-late", "0")
    assert late["outbox"]["messages"] == 1
    assert not late["healthy"]
    assert late["late"][0] == submission
    assert late["late"][1].startswith("1 message(s) wait to be submitted")
    pid = pidfile.read(shell.project / "run" / "lamson.pid")
    for worker in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(worker), signal.SIGSTOP)
    told = status(69)
    assert told["state"] == "down"
    assert told["problems"][0] == f"lmtp on 127.0.0.1:{shell.lmtp} does not answer: timed out"
    shell.out("stop", "-KILL", "-timeout", "0")


@pytest.mark.timeout(300)
def test_what_keeps_a_server_from_starting_is_one_line(shell: Shell) -> None:
    def refused(status: int) -> str:
        done = shell("start")
        assert done.returncode == status, done
        assert done.stdout == ""
        assert done.stderr.startswith("lamson: ")
        assert done.stderr.count("\n") == 1
        assert shell("status").returncode == 3
        assert not listening(shell.lmtp)
        return done.stderr

    assert "has no tables yet: run `lamson syncdb`" in refused(os.EX_CONFIG)
    shell.out("syncdb")
    (shell.project / "migrations" / "versions" / "0002_more.py").write_text(
        'revision = "0002"\ndown_revision = "0001"\n\n\ndef upgrade():\n    pass\n'
    )
    assert "lacks the migration 0002 of " in refused(os.EX_CONFIG)
    shell.out("syncdb")

    settings = shell.project / "config" / "settings.py"
    good = settings.read_text()
    settings.write_text(good.replace("handlers=", "handelrs="))
    assert "handelrs: unknown key; did you mean handlers?" in refused(os.EX_CONFIG)
    settings.write_text(good.replace("app.handlers.sample", "app.handlers.smaple"))
    assert "app.handlers.smaple" in refused(os.EX_CONFIG)
    settings.write_text(good)

    shell.out("log", "-port", str(shell.lmtp))
    done = shell("start")
    assert done.returncode == os.EX_UNAVAILABLE
    assert done.stderr.startswith(f"lamson: cannot listen on 127.0.0.1:{shell.lmtp}: it is in use")
    shell.out("stop", "-ALL", "run")

    shell.out("start")
    again = shell("start")
    assert again.returncode == os.EX_UNAVAILABLE
    assert again.stderr.startswith("lamson: already running (pid ")
    assert shell("status").returncode == 75  # nobody takes what it sends


def test_the_foreground_ends_with_sigterm(shell: Shell) -> None:
    shell.out("syncdb")
    output = shell.project / "output"
    lamson = ServerProcess("lamson", output, shell.project / "errors")
    lamson.start(
        [sys.executable, "-m", "lamson", "start", "--foreground"],
        lambda: output.read_text().endswith("\n"),
        cwd=shell.project,
        env={**shell.environment, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert output.read_text() == f"lamson is listening: LMTP on 127.0.0.1:{shell.lmtp}\n"
        assert f"LMTP on 127.0.0.1:{shell.lmtp}" in shell("status").stdout
        assert shell.out("stop") == f"stopped lamson (pid {lamson.pid})\n"
        assert lamson.wait() == 0
    finally:
        lamson.kill()
