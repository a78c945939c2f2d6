"""The status listener of a real service: its numbers against what a counted load did, and what it
says while things fail.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import smtplib
import socket
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from prometheus_client.parser import text_string_to_metric_families

from tests.service import LamsonService
from tests.waiting import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SETTINGS = """
from lamson.settings import Milter, Settings, Socketmap

settings = Settings(
    database="sqlite:///run/lamson.db",
    handlers=["handlers"],
    filters=["filters"],
    socketmap=Socketmap("unix:run/socketmap"),
    milter=Milter("unix:run/milter"),
    route_defaults={"host": r"test\\.com"},
    metadata=None,
    workers=2,
)
"""
HANDLERS = """
import os, pathlib, signal
from lamson import Delivery, MailRequest, SMTPError, route, stateless

@route("(user)@(host)", user="fine|defer|refuse|die|who")
@stateless
def handle(message: MailRequest, delivery: Delivery, user: str, host: str) -> None:
    if user == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if user == "who":
        pathlib.Path("who").write_text(str(os.getpid()))
        return
    if user == "defer":
        raise SMTPError(451, "4.3.2", "not now")
    if user == "refuse":
        raise SMTPError(550, "5.7.1", "never")
    delivery.reply(subject="thanks", body="Thanks.")
"""
FILTERS = """
from lamson_milter import FilteredMail, filter_message

@filter_message()
def look(mail: FilteredMail) -> None:
    pass
"""


class Sink:
    """A submission server that takes everything; it can go away and come back."""

    def __init__(self) -> None:
        self.port = free_port()
        self._controller: Controller | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return "250 2.0.0 Ok: taken"

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


class Watched:
    """The service, and what its status listener says."""

    def __init__(self, project: Path, sink: Sink) -> None:
        self.project = project
        self.sink = sink
        self.status = free_port()
        self.service = LamsonService(
            project,
            LAMSON_STATUS__LISTEN=f"127.0.0.1:{self.status}",
            LAMSON_SUBMISSION__SERVER=f"127.0.0.1:{sink.port}",
        )
        self.before: dict[str, float] = {}

    def get(self, page: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.status}{page}", timeout=60) as one:
                return one.status, one.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def ready(self) -> dict[str, Any]:
        status, body = self.get("/readyz")
        told: dict[str, Any] = json.loads(body)
        assert told["ready"] is (status == 200)
        return told

    def numbers(self) -> dict[str, float]:
        """What there is now, by name and labels; no sum may be less than the last time."""
        found = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1].decode()):
            for name, labels, value, *_ in family.samples:
                key = ",".join([name, *[f"{one}={labels[one]}" for one in sorted(labels)]])
                found[key] = value
                if family.type in ("counter", "histogram"):
                    assert value >= self.before.get(key, 0.0), key
        self.before = found
        return found

    def wait_submitted(self) -> None:
        """Wait until no answer waits, or was submitted by somebody who has yet to note it."""
        with closing(sqlite3.connect(self.project / "run" / "lamson.db")) as database:
            wait_for(
                lambda: database.execute("SELECT count(*) FROM lamson_outbox").fetchone() == (0,),
                "an empty outbox",
            )

    def send(self, *users: str) -> list[int]:
        """One message to these; the reply to each, none where the worker died over it."""
        codes = []
        # It is not asked to QUIT: a worker that is being replaced says 421 to that.
        with closing(smtplib.LMTP("127.0.0.1", self.service.port, timeout=60)) as client:
            client.ehlo_msg = "lhlo"
            client.ehlo()
            client.docmd("MAIL", "FROM:<zed@test.com>")
            taken = [one for one in users if client.docmd("RCPT", f"TO:<{one}@test.com>")[0] == 250]
            if not taken:
                return []
            client.docmd("DATA")
            client.send(b"From: zed@test.com\r\nSubject: x\r\n\r\nx\r\n.\r\n")
            with suppress(smtplib.SMTPServerDisconnected):
                codes = [client.getreply()[0] for _ in taken]
        return codes

    def children(self) -> list[int]:
        """The processes of the supervisor, in whatever order."""
        pid = self.service.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]

    def workers(self, group: str) -> float:
        return self.numbers()[f"lamson_workers,group={group}"]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    pytest.importorskip("milter")
    project = tmp_path_factory.mktemp("status")
    (project / "config").mkdir()
    (project / "config" / "settings.py").write_text(SETTINGS)
    (project / "handlers.py").write_text(HANDLERS)
    (project / "filters.py").write_text(FILTERS)
    sink = Sink()
    sink.start()
    watched = Watched(project, sink)
    watched.service.command("syncdb")
    try:
        with watched.service:
            yield watched
    finally:
        sink.stop()


def test_the_numbers_are_those_of_the_load(watched: Watched) -> None:
    """Workers die over some of the mail, and all are replaced in the middle."""
    sent, codes = 0, Counter[int]()
    loads = [["fine"], ["defer", "refuse"], ["fine", "unknown"], ["unknown"], ["die"], ["fine"]]
    for turn in range(2):
        for users in loads:
            if users == ["die"]:  # an answer that it was submitting would be submitted once more
                watched.wait_submitted()
            sent += users != ["unknown"]
            codes.update(watched.send(*users))
            watched.numbers()
        if turn == 0:
            os.kill(watched.service.pid, signal.SIGHUP)
            watched.service.wait_log("reloaded: every worker was replaced")
    assert codes == {250: 6, 451: 2, 550: 2}
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(watched.project / "run" / "socketmap"))
        sock.sendall(b"23:recipient fine@test.com,25:recipient nobody@test.com,")
        assert sock.recv(100).startswith(b"9:OK routed,")
    expected = {
        "lamson_messages_total": sent,
        "lamson_recipients_total": 12,
        "lamson_recipients_refused_total": 4,
        "lamson_replies_total,reply=2xx": codes[250],
        "lamson_replies_total,reply=4xx": codes[451],
        "lamson_replies_total,reply=5xx": codes[550],
        "lamson_submissions_total,outcome=submitted": codes[250],
        "lamson_worker_deaths_total,group=lmtp": 2,
        "lamson_handler_seconds_count,handler=handlers.handle": 10,
        "lamson_socketmap_lookups_total,answer=ok,map=recipient": 1,
        "lamson_workers,group=lmtp": 2,
    }

    def found() -> dict[str, float]:
        numbers = watched.numbers()
        return {name: numbers[name] for name in expected}

    wait_for(lambda: found() == expected, lambda: f"{expected}, not {found()}")
    assert watched.before["lamson_message_bytes_total"] > 0
    assert watched.before["lamson_memory_bytes,group=lmtp"] > 1e6


def test_prometheus_finds_nothing_wrong_with_the_page(watched: Watched) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs Debian's package prometheus")
    page = watched.get("/metrics")[1]
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_what_fails_is_told(watched: Watched) -> None:
    """Submission is down, the database away, a worker killed, and the milter stands still."""
    wait_for(lambda: watched.ready()["ready"], "a service that is ready")
    deaths = watched.numbers()["lamson_worker_deaths_total,group=lmtp"]
    # Those that a reload replaced are gone by then: two of LMTP, socketmap, milter and status.
    wait_for(lambda: len(watched.children()) == 5, lambda: f"five, not {watched.children()}")
    milter = next(pid for pid in watched.children() if "libmilter" in mapped_by(pid))
    assert watched.send("who") == [250]
    victim = int((watched.project / "who").read_text())
    database = watched.project / "run" / "lamson.db"
    away = watched.project / "away.db"
    watched.sink.stop()
    database.rename(away)
    database.mkdir()
    os.kill(milter, signal.SIGSTOP)
    os.kill(victim, signal.SIGKILL)
    try:
        told = wait_for(
            lambda: told if len((told := watched.ready())["problems"]) == 2 else {},
            lambda: str(watched.ready()),
        )
        assert told["state"] == "down"
        assert told["servers"] == {"lmtp": True, "socketmap": True, "milter": False}
        assert (told["database"], told["submission"]) == (False, False)
        assert "milter on unix:" in told["problems"][0]
        assert "cannot be used" in told["problems"][1]
        assert "Connection refused" in told["late"][0]
        numbers = watched.numbers()
        for name in ("server_up,server=milter", "database_up", "submission_up"):
            assert numbers[f"lamson_{name}"] == 0, name
        assert numbers["lamson_state,state=down"] == 1
        assert "lamson_outbox_messages" not in numbers, "nobody knows"
        assert watched.get("/healthz")[0] == 200, "it lives, and needs no new start"
        wait_for(
            lambda: watched.numbers()["lamson_worker_deaths_total,group=lmtp"] == deaths + 1,
            "the death to be counted",
        )
    finally:
        database.rmdir()
        away.rename(database)
        os.kill(milter, signal.SIGCONT)
        watched.sink.start()
    wait_for(lambda: watched.ready()["ready"], lambda: str(watched.ready()))
    assert watched.workers("lmtp") == 2


def mapped_by(pid: int) -> str:
    """What is mapped: a worker of the milter has its library."""
    with open(f"/proc/{pid}/maps") as file:
        return file.read()
