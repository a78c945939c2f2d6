"""`lamson requeue`: what was kept as undeliverable goes through its handler once more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lamson.message.notes import LIFETIME, Notary
from lamson.smtp.envelope import Envelope, Peer, QueueId
from lamson.storage import seen, seen_key, undeliverable
from lamson.storage.maildir import Maildir
from lamson.storage.state import SqlStateStore, StateKey
from lamson.storage.undeliverable import Kept
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

HANDLERS = """
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from lamson import Delivery, MailRequest, State, route

@route("(user)@(host)", user="[a-z]+")
def START(message: MailRequest, delivery: Delivery, user: str, host: str) -> State:
    if message.subject == "forward":
        delivery.forward("c@d.example")
    if message.subject == "hang":
        (Path(__file__).parent / "hanging").touch()
        time.sleep(3600)
    (Path(__file__).parent / "notes").write_text(json.dumps(dict(message.notes)))
    if message.subject == "break":
        with closing(sqlite3.connect(Path(__file__).parent / "run" / "outbox.db")) as other:
            seen = other.execute("SELECT state FROM lamson_state").fetchall()
        (Path(__file__).parent / "seen").write_text(json.dumps(seen))
        raise RuntimeError("broken")
    return "DONE"

@route("nobody@(host)")
def DONE(message: MailRequest, host: str) -> State:
    return None

def ERROR(message: MailRequest, host: str = "", user: str = "") -> State:
    return None
"""


@pytest.fixture
def handlers(lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"requeue_handlers_{time.time_ns()}"
    (project / f"{name}.py").write_text(HANDLERS)
    monkeypatch.setenv("LAMSON_HANDLERS", name)
    monkeypatch.setenv("LAMSON_ROUTE_DEFAULTS", '{"host": "test\\\\.com"}')
    return name


def mail(subject: str) -> bytes:
    return b"From: z@e.example\r\nSubject: " + subject.encode() + b"\r\n\r\nbody\r\n"


def keep(project: Path, subject: str, state: str = "", queue_id: str = "4Qz") -> str:
    message = Kept(mail(subject), "why", "z@e.example", "Desk@test.com", queue_id, state)
    return undeliverable.write(Maildir(project / "run" / "undeliverable"), message)


@pytest.mark.usefixtures("database", "handlers")
def test_a_kept_message_goes_through_its_handler_again(lamson: Lamson, project: Path) -> None:
    good, bad = keep(project, "fine"), keep(project, "break")
    done = lamson("requeue", bad, good)
    assert done.status == 1
    assert f"{good}: 250 2.0.0 Ok" in done.out
    assert f"{bad}: 451 4.3.0" in done.out
    assert Maildir(project / "run" / "undeliverable").keys() == [bad]
    running = project / "run" / "running"
    assert list(running.iterdir()) == []  # else a worker with that pid would be blamed for it


def test_requeue_that_died_before_it_removed_the_message(
    lamson: Lamson, project: Path, database: Database, handlers: str
) -> None:
    queue = Maildir(project / "run" / "undeliverable")
    key = keep(project, "fine", f"{handlers} START")
    (file,) = queue.path.glob(f"new/{key}*")
    content = file.read_bytes()
    assert lamson("requeue", key).status == 0
    file.write_bytes(content)  # as it would be there still
    assert lamson("requeue", key).status == 0
    assert queue.count() == 0
    events = (project / "logs" / "lamson.log").read_text()
    assert events.count(" handled id=") == events.count(" duplicate id=") == 1
    place = StateKey.make(handlers, "z@e.example")
    with database.begin() as connection:  # nor is the author put back once more
        assert SqlStateStore(connection).load([place])[place] == "DONE"


@pytest.mark.parametrize("subject", ["fine", "break"])
@pytest.mark.parametrize("elsewhere", [(), ("-recipient", "other@test.com")], ids=["", "other"])
@pytest.mark.usefixtures("handlers")
def test_what_was_run_is_not_run_for_postfix_as_well(
    lamson: Lamson, project: Path, database: Database, subject: str, elsewhere: tuple[str, ...]
) -> None:
    """Who is asked for it while Postfix still has it, since the commit failed after it was kept."""
    key = keep(project, subject, queue_id="4QzXwN0Jk1z5tVb")
    lamson("requeue", key, *elsewhere)
    waiting = Envelope("z@e.example", peer=Peer(ident=QueueId("4QzXwN0Jk1z5tVb")))
    source = seen_key.source(waiting, mail(subject))
    assert source
    with database.begin() as connection:
        is_claimed = seen.is_claimed(connection, source.key("z@e.example", "desk@test.com"))
    assert is_claimed == (subject == "fine")


@pytest.mark.usefixtures("database", "handlers")
def test_a_loop_that_was_kept_is_not_kept_again(lamson: Lamson, project: Path) -> None:
    """Else it would be told as done each time, and stand there under another key."""
    mark = Notary.of(project / "run", None).mark("desk@test.com")
    loop = Kept(
        f"From: z@e.example\r\nSubject: forward\r\nX-Lamson-Forwarded: {mark}\r\n\r\n".encode(),
        *("why", "victim@bank.example", "desk@test.com", "4Qz"),
    )
    queue = Maildir(project / "run" / "undeliverable")
    key = undeliverable.write(queue, loop)
    done = lamson("requeue", key)
    assert done.status == 1
    assert f"{key}: 554 5.4.6" in done.out
    assert queue.keys() == [key]


@pytest.mark.usefixtures("database", "handlers")
def test_requeue_says_what_it_cannot_do(lamson: Lamson, project: Path) -> None:
    assert lamson("requeue", "nosuch").status == os.EX_NOINPUT
    key = keep(project, "fine")
    done = lamson("requeue", key, "-recipient", "desk@elsewhere.example")
    assert done.status == os.EX_NOUSER
    assert "no route takes desk@elsewhere.example" in done.err
    done = lamson("requeue", key, "-recipient", "de\u202esk@elsewhere.example")
    assert "no route takes de?sk@elsewhere.example" in done.err, "nothing that a terminal obeys"


@pytest.mark.usefixtures("handlers")
def test_an_author_in_error_goes_back_to_where_the_handler_failed(
    lamson: Lamson, project: Path, database: Database, handlers: str
) -> None:
    place = StateKey.make(handlers, "z@e.example")

    def state() -> str:
        with database.begin() as connection:
            return SqlStateStore(connection).load([place])[place]

    with database.begin() as connection:
        SqlStateStore(connection).save({place: "ERROR"})
    bad = keep(project, "break", f"{handlers} START")
    assert lamson("requeue", bad).status == 1
    assert state() == "ERROR"
    assert json.loads((project / "seen").read_text()) == [["ERROR"]]  # to all others, meanwhile
    good = keep(project, "fine", f"{handlers} START")
    assert lamson("requeue", good).status == 0
    assert state() == "DONE"
    unwanted = keep(project, "fine", f"{handlers} DONE")
    done = lamson("requeue", unwanted)
    assert done.status == 1
    assert "550 5.7.0 no handler takes it while z@e.example is in state DONE" in done.out
    assert len(Maildir(project / "run" / "undeliverable").keys()) == 2


@pytest.mark.usefixtures("database", "handlers")
def test_one_that_is_not_there_does_not_keep_the_others(lamson: Lamson, project: Path) -> None:
    key = keep(project, "fine")
    done = lamson("requeue", "nosuch", key)
    assert done.status == 1
    assert "nosuch: " in done.out
    assert "there is no message nosuch" in done.out
    assert f"{key}: 250 2.0.0 Ok" in done.out


@pytest.mark.usefixtures("database", "handlers")
def test_another_recipient_in_place_of_the_former(lamson: Lamson, project: Path) -> None:
    key = keep(project, "fine")
    assert lamson("requeue", key, "-recipient", "other@test.com").status == 0
    assert "recipient=other@test.com" in (project / "logs" / "lamson.log").read_text()


@pytest.mark.usefixtures("handlers")
def test_a_project_without_a_database_has_no_state_to_go_back_to(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch, handlers: str
) -> None:
    monkeypatch.setenv("LAMSON_DATABASE", "")
    key = keep(project, "fine", f"{handlers} START")
    assert lamson("requeue", key).status == 0
    assert Maildir(project / "run" / "undeliverable").count() == 0


@pytest.mark.usefixtures("database", "handlers")
@pytest.mark.parametrize("queue_id", ["4Qz", "4Qy"])
def test_it_has_the_notes_of_its_filters(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch, queue_id: str
) -> None:
    """Also when it is requeued after they would have expired; those of another mail count not."""
    monkeypatch.setenv("LAMSON_MILTER__CHECK_RECIPIENTS", "true")
    long_ago = time.time() - 2 * LIFETIME
    notary = Notary.of(project / "run", None)
    (note,) = notary.sign(queue_id, {"spam": 7.5}, {}, long_ago)
    kept = Kept(
        f"From: z@e.example\r\nX-Lamson-Notes: {note}\r\n\r\nbody\r\n".encode(),
        *("why", "z@e.example", "desk@test.com", "4Qz"),
    )
    queue = Maildir(project / "run" / "undeliverable")
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: int(long_ago * 1e9))
        key = undeliverable.write(queue, kept)
    assert lamson("requeue", key).status == 0
    assert json.loads((project / "notes").read_text()) == (
        {"spam": 7.5} if queue_id == "4Qz" else {}
    )


# With less patience, or this would take minutes.
COMMAND = """
from lamson.cli import main
from lamson.storage import patience, sqlite

patience.SILENCE = sqlite.BUSY_TIMEOUT = 0.5
main()
"""


@pytest.mark.usefixtures("lamson", "database", "handlers")
def test_an_interruption_ends_it_though_the_handler_hangs(project: Path) -> None:
    """Which has the only writer of SQLite, that the end wants to have, too."""
    command = [sys.executable, "-c", COMMAND, "requeue", keep(project, "hang")]
    with subprocess.Popen(command, cwd=project) as process:
        try:
            wait_for((project / "hanging").exists, "the handler to hang")
            process.send_signal(signal.SIGINT)
            assert process.wait(200) == 128 + signal.SIGINT
        finally:
            process.kill()
    assert "cannot reply" not in (project / "logs" / "lamson.log").read_text()
