"""`lamson outbox` and `lamson requeue`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from lamson import schema
from lamson.cli.requeue import split_kept
from lamson.db import Database
from lamson.outbox import Outbox, Outgoing
from lamson.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

HANDLERS = """
from lamson import MailRequest, State, route

@route("(user)@(host)", user="[a-z]+")
def START(message: MailRequest, user: str, host: str) -> State:
    if message.subject == "break":
        raise RuntimeError("broken")
    return None
"""


@pytest.fixture
def database(lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("LAMSON_DATABASE", f"sqlite:///{project}/run/outbox.db")
    (project / "run").mkdir(exist_ok=True)
    database = Database(f"sqlite:///{project}/run/outbox.db")
    schema.upgrade_ours(database)
    yield database
    database.close()


def commit(database: Database, *recipients: str) -> Outgoing:
    row = Outgoing("4Qz", "<1@test>", "list@test.com", recipients, b"Subject: x\r\n\r\nbody\r\n")
    with database.begin() as connection:
        Outbox(database, "dead", lease=-1.0).insert(connection, [row])
    return row


def test_what_waits_is_listed_and_shown(lamson: Lamson, database: Database) -> None:
    row = commit(database, "zed@example.com")
    assert lamson("outbox", "-count").out == "1\n"
    listed = lamson("outbox").out
    assert listed.startswith(f"{row.id}  0s old  <list@test.com> to zed@example.com  <1@test>")
    assert "not tried yet" in listed
    assert lamson("outbox", "-show", str(row.id)).out == "Subject: x\r\n\r\nbody\r\n"


def test_a_deferred_message_can_be_tried_now(lamson: Lamson, database: Database) -> None:
    row = commit(database, "zed@example.com")
    outbox = Outbox(database, "relay")
    row.attempts, row.last_error = 3, "451 4.3.0 busy"
    outbox.defer(row, time.time() + 3600)
    assert outbox.claim(1) == []
    assert "tried 3 times: 451 4.3.0 busy" in lamson("outbox").out
    assert lamson("outbox", "-retry", str(row.id)).out.startswith("1 message(s)")
    assert len(outbox.claim(1)) == 1
    assert lamson("outbox", "-retry", "ALL").out.startswith("0 message(s)")


def test_dropping_asks_first(lamson: Lamson, database: Database) -> None:
    row = commit(database, "zed@example.com")
    no = lamson("outbox", "-drop", str(row.id), given=b"n\n")
    assert no.status == 130
    assert lamson("outbox", "-count").out == "1\n"
    assert lamson("outbox", "-drop", str(row.id), given=b"y\n").status == 0
    assert lamson("outbox", "-count").out == "0\n"


def test_what_is_not_there(lamson: Lamson, database: Database) -> None:
    for option in ("-show", "-drop", "-retry"):
        done = lamson("outbox", option, "17")
        assert done.status == os.EX_NOINPUT
        assert "there is no message 17" in done.err
    assert lamson("outbox", "-retry", "x").status == os.EX_USAGE
    assert lamson("outbox", "-count", "-list").status == os.EX_USAGE


@pytest.mark.usefixtures("project")
def test_a_project_without_a_database(lamson: Lamson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMSON_DATABASE", "")
    done = lamson("outbox")
    assert done.status == os.EX_CONFIG
    assert "database" in done.err


def test_a_kept_message_comes_apart_again(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q")
    content = b"Received: x\r\n\ty\r\nSubject: z\r\n\r\nX-Lamson-Reason: not this\r\n"
    reason = "a long reason " * 20
    key = queue.push(content, {"X-Lamson-Reason": reason, "X-Lamson-Sender": "a@b.c"})
    fields, message = split_kept(queue.get(key) or b"")
    assert message == content
    assert fields == {"x-lamson-reason": reason.strip(), "x-lamson-sender": "a@b.c"}


@pytest.fixture
def handlers(lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"requeue_handlers_{time.time_ns()}"
    (project / f"{name}.py").write_text(HANDLERS)
    monkeypatch.setenv("LAMSON_HANDLERS", name)
    monkeypatch.setenv("LAMSON_ROUTE_DEFAULTS", '{"host": "test\\\\.com"}')
    return name


def keep(project: Path, subject: str) -> str:
    content = b"From: z@e.example\r\nSubject: " + subject.encode() + b"\r\n\r\nbody\r\n"
    headers = {"X-Lamson-Sender": "z@e.example", "X-Lamson-Recipient": "desk@test.com"}
    return Queue(project / "run" / "undeliverable").push(content, headers)


@pytest.mark.usefixtures("database", "handlers")
def test_a_kept_message_goes_through_its_handler_again(lamson: Lamson, project: Path) -> None:
    good, bad = keep(project, "fine"), keep(project, "break")
    done = lamson("requeue", good, bad)
    assert done.status == 1
    assert f"{good}: 250 2.0.0 Ok" in done.out
    assert f"{bad}: 451 4.3.0" in done.out
    assert Queue(project / "run" / "undeliverable").keys() == [bad]


@pytest.mark.usefixtures("database", "handlers")
def test_requeue_says_what_it_cannot_do(lamson: Lamson, project: Path) -> None:
    assert lamson("requeue", "nosuch").status == os.EX_NOINPUT
    key = keep(project, "fine")
    done = lamson("requeue", key, "-recipient", "desk@elsewhere.example")
    assert done.status == os.EX_NOUSER
    assert "no route takes desk@elsewhere.example" in done.err
