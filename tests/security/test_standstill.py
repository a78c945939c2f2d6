"""Nothing stops a worker for good: what holds its interpreter, and what is left of a service."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.milter.client import MilterClient
from tests.milter.projects import FilteringService
from tests.service import LamsonService
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

DEADLINE = "2"  # seconds

SETTINGS = """
from lamson.settings import Settings, Submission

settings = Settings(
    submission=Submission("127.0.0.1:1"),
    handlers=["handlers"],
    route_defaults={"host": r"test\\.com"},
    metadata=None,
)
"""

HANDLERS = r"""
import os, re, subprocess, threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from lamson import MailRequest, SMTPError, route, stateless

def write(name: str, text: object) -> None:
    Path("made").write_text(str(text))
    Path("made").rename(name)

@route("(word)@(host)", word="(a+)+x", engine="re")
@route("do-(what)@(host)", what="[a-z]+")
@stateless
def DO(message: MailRequest, host: str, what: str = "", word: str = "") -> None:
    if what == "compute":
        re.fullmatch("(a+)+", "a" * 50 + "!")
    if what == "start":
        write("program", subprocess.Popen(["sleep", "600"]).pid)
    if what == "hang":
        write("program", subprocess.Popen(["sleep", "600"]).pid)
        re.fullmatch("(a+)+", "a" * 50 + "!")
    if what == "wait":
        write("program", subprocess.Popen(["sleep", "600"]).pid)
        threading.Event().wait(600)
    if what == "pool":
        global pool
        pool = ProcessPoolExecutor(1)
        write("program", pool.submit(os.getpid).result())
    raise SMTPError(550, "5.7.1", "done")
"""

FILTERS = r"""
import re, subprocess

@filter_recipient("(user)@(host)")
def compute(peer, user, host):
    if user == "compute":
        re.fullmatch("(a+)+", "a" * 50 + "!")
    if user == "start":
        program = subprocess.Popen(["sleep", "600"])
        program.terminate()
        return Reject("5.7.1", f"ended by {program.wait(30)}")
    return None
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(SETTINGS)
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


@pytest.fixture
def service(project: Path) -> Iterator[LamsonService]:
    with LamsonService(project, LAMSON_HANDLER_DEADLINE=DEADLINE) as service:
        yield service


@pytest.fixture
def patient(project: Path) -> Iterator[LamsonService]:
    """One whose supervisor leaves a hanging worker alone, so that `stop` finds it."""
    with LamsonService(project) as service:
        yield service


@pytest.fixture
def programs(project: Path) -> Iterator[Callable[[], int]]:
    """The pid of the program that a handler has started; it does not outlive the test."""

    file = project / "program"

    def pid() -> int:
        wait_for(file.exists, "a program")
        return int(file.read_text())

    yield pid
    if file.exists() and lives(pid()):
        os.kill(pid(), signal.SIGKILL)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def say(port: int, recipient: str) -> tuple[int, bytes]:
    """RCPT, and the message where that is taken; gives the last reply."""
    with smtplib.LMTP("127.0.0.1", port, timeout=60) as lmtp:
        lmtp.ehlo()
        lmtp.mail("z@e.example")
        reply = lmtp.rcpt(recipient)
        return reply if reply[0] != 250 else lmtp.data(b"Subject: x\r\n\r\nx\r\n")


def attack(target: Callable[[], object]) -> None:
    """Do what will never be answered, while the test goes on."""

    def run() -> None:
        with suppress(EOFError, OSError, smtplib.SMTPException):
            target()

    threading.Thread(target=run, daemon=True).start()


EVIL = "a" * 50 + "!@test.com"


def test_a_route_that_matches_for_ever_is_ended(service: LamsonService) -> None:
    (old,) = children(service.pid)
    attack(lambda: say(service.port, EVIL))
    (line,) = service.wait_log("ERROR", f"LMTP worker {old} stood still for")
    assert "in lamson/routing/" in line
    assert say(service.port, "do-nothing@test.com")[0] == 550
    assert not lives(old)


def test_nobody_is_blamed_for_what_a_stranger_has_the_loop_do(
    service: LamsonService, project: Path, programs: Callable[[], int]
) -> None:
    """Else a bystander's mail would be kept, as one that kills workers, after a few attacks."""
    attack(lambda: say(service.port, "do-wait@test.com"))
    programs()
    attack(lambda: say(service.port, EVIL))
    service.wait_log("ERROR", "ended with signal 9; replacing it")
    assert service.log_lines("stood still for", "handlers.py")
    assert not (project / "run" / "suspects.json").exists()


def test_so_it_is_in_the_socketmap(project: Path) -> None:
    port = free_port()
    environment = {"LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{port}"}
    with LamsonService(project, LAMSON_HANDLER_DEADLINE=DEADLINE, **environment) as service:

        def ask(key: str) -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                request = f"recipient {key}".encode()
                client.sendall(b"%d:%s," % (len(request), request))
                return client.recv(100)

        attack(lambda: ask(EVIL))
        service.wait_log("ERROR", "socketmap worker", "stood still for")
        assert ask("do-nothing@test.com").endswith(b":OK routed,")


def test_a_handler_that_holds_the_interpreter_is_ended_and_named(
    service: LamsonService, project: Path
) -> None:
    (old,) = children(service.pid)
    attack(lambda: say(service.port, "do-compute@test.com"))
    (line,) = service.wait_log("ERROR", f"worker {old} stood still for")
    number = HANDLERS.splitlines().index('        re.fullmatch("(a+)+", "a" * 50 + "!")') + 1
    assert f"in handlers.py:{number} DO; killing it" in line
    service.wait_log("ERROR", f"worker {old} had 1 deliveries under way")
    assert say(service.port, "do-nothing@test.com")[0] == 550


def test_a_filter_that_holds_the_interpreter_is_ended_and_named(tmp_path: Path) -> None:
    service = FilteringService(tmp_path / "project", FILTERS)
    service.environment["LAMSON_HANDLER_DEADLINE"] = DEADLINE
    with service:

        def ask(user: str) -> str:
            with MilterClient(service.socket) as client:
                client.connect()
                client.mail()
                answer = client.rcpt(f"<{user}@test.com>")
                return answer.letter if answer else ""

        attack(lambda: ask("compute"))
        (line,) = service.wait_log("ERROR", "milter worker", "stood still for")
        assert "in app/filters.py:" in line
        assert ask("somebody") == "c"


def test_a_worker_that_was_stopped_is_ended(service: LamsonService) -> None:
    (old,) = children(service.pid)
    os.kill(old, signal.SIGSTOP)
    service.wait_log("ERROR", f"worker {old} stood still for", "killing it")
    assert say(service.port, "do-nothing@test.com")[0] == 550


def test_stop_kill_leaves_nothing_behind(project: Path, programs: Callable[[], int]) -> None:
    port = free_port()
    environment = {**os.environ, "LAMSON_LMTP__LISTEN": f"127.0.0.1:{port}"}

    def lamson(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "lamson", *arguments], cwd=project, env=environment, check=True
        )

    lamson("start")
    supervisor = int((project / "run" / "lamson.pid").read_text().split()[0])
    family = [supervisor, *children(supervisor)]
    attack(lambda: say(port, "do-hang@test.com"))
    family.append(programs())
    lamson("stop", "-KILL", "-timeout", "0.5")
    assert not [pid for pid in family if lives(pid)]
    lamson("start")
    try:
        assert say(port, "do-nothing@test.com")[0] == 550
    finally:
        lamson("stop", "-KILL", "-timeout", "20")


def test_stop_kill_in_the_foreground_spares_who_started_it(
    patient: LamsonService, programs: Callable[[], int]
) -> None:
    service = patient
    assert os.getpgid(service.pid) == os.getpgrp()  # as of a script: it would end this test
    family = children(service.pid)
    attack(lambda: say(service.port, "do-hang@test.com"))
    family.append(programs())
    service.command("stop", "-KILL", "-timeout", "0.1")
    assert not [pid for pid in family if lives(pid)]
    service.kill()


def test_a_worker_that_stands_still_does_not_outlive_its_supervisor_for_long(
    service: LamsonService, programs: Callable[[], int]
) -> None:
    (worker,) = children(service.pid)
    attack(lambda: say(service.port, "do-hang@test.com"))
    programs()
    service.kill()
    wait_for(lambda: not lives(worker), "the worker to end itself")
    assert "DO" in service.output()  # where it stood
    service.start()
    assert say(service.port, "do-nothing@test.com")[0] == 550


def test_what_a_handler_forked_does_not_keep_the_port(
    service: LamsonService, programs: Callable[[], int]
) -> None:
    (worker,) = children(service.pid)
    assert say(service.port, "do-pool@test.com")[0] == 550
    orphan = programs()
    os.kill(worker, signal.SIGKILL)  # nobody tells the pool to end
    service.wait_log("ended with signal 9; replacing it")
    service.stop()
    assert lives(orphan)
    service.start()
    assert say(service.port, "do-nothing@test.com")[0] == 550


def test_a_program_that_a_filter_started_can_be_ended(tmp_path: Path) -> None:
    with (
        FilteringService(tmp_path / "project", FILTERS) as service,
        MilterClient(service.socket) as client,
    ):
        client.connect()
        client.mail()
        answer = client.rcpt("<start@test.com>")
        assert answer
        assert answer.reply == f"550 5.7.1 ended by {-signal.SIGTERM}"
