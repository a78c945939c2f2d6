"""lamson.service.health: what is wrong, what waits, and for how long."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest

from lamson.service import asking, health, pidfile
from lamson.settings import Lmtp, Settings, Submission
from lamson.storage import migrate, tasks
from lamson.storage.database import Database
from lamson.storage.maildir import Maildir
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _submission_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "submission", lambda server: None)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Settings]:
    def make(**values: object) -> Settings:
        given = {"handlers": [], "run_dir": tmp_path, "lmtp": Lmtp(f"unix:{tmp_path}/none")}
        return Settings.model_validate({**given, **values})

    return make


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/lamson.db"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[None]:
    with pidfile.PidFile(tmp_path / pidfile.PID_FILE) as lock:
        lock.describe("LMTP on somewhere")
        yield


def wait_in_outbox(url: str, *, age: float, attempts: int = 0) -> None:
    database = Database(url)
    migrate.upgrade_ours(database)
    with database.begin() as connection:
        row = Outgoing(
            source="s",
            message_id="<a@b>",
            sender="",
            recipients=("zed@example.com",),
            smtputf8=False,
            content=b"x",
        )
        Outbox(database, "").insert(connection, [row])
        connection.exec_driver_sql(
            "UPDATE lamson_outbox SET created_at=?, attempts=?, last_error=? WHERE id=?",
            (time.time() - age, attempts, "451 4.3.0 later" if attempts else "", row.id),
        )
    database.close()


def test_nothing_runs(tmp_path: Path, make: Callable[..., Settings]) -> None:
    found = health.look(tmp_path, make())
    assert found.problems == ["the service is not running"]
    assert found.shown() == {
        "state": "down",
        "healthy": False,
        "running": False,
        "listening": "",
        "servers": {},
        "database": None,
        "submission": None,
        "outbox": None,
        "timers": None,
        "undeliverable": {"messages": 0, "octets": 0, "limit": 1024**3, "oldest": None},
        "spam": None,
        "problems": ["the service is not running"],
        "late": [],
    }


@pytest.mark.usefixtures("running")
def test_a_server_that_does_not_answer_is_named(
    tmp_path: Path, make: Callable[..., Settings]
) -> None:
    found = health.look(tmp_path, make())
    assert (found.is_running, found.listening) == (True, "LMTP on somewhere")
    assert found.servers == {"lmtp": False}
    problem = f"lmtp on unix:{tmp_path}/none does not answer: No such file or directory"
    assert found.problems == [problem]


def test_a_database_without_tables_is_a_problem(
    tmp_path: Path, make: Callable[..., Settings], url: str
) -> None:
    found = health.look(tmp_path, make(database=url))
    assert found.database is False
    assert found.outbox is None
    assert found.problems[-1].endswith("has no tables yet: run `lamson syncdb`")


def test_a_database_that_is_away_is_a_problem_without_its_password(
    tmp_path: Path, make: Callable[..., Settings]
) -> None:
    away = "postgresql+psycopg://lamson:s3cret@127.0.0.1:1/lamson"
    found = health.look(tmp_path, make(database=away))
    assert found.database is False
    assert "cannot be used" in found.problems[-1]
    assert "s3cret" not in json.dumps(found.shown())


def test_what_waits_is_counted(tmp_path: Path, make: Callable[..., Settings], url: str) -> None:
    wait_in_outbox(url, age=10)
    wait_in_outbox(url, age=1000, attempts=3)
    Maildir(tmp_path / "undeliverable").push(b"12345")
    found = health.look(tmp_path, make(database=url), 3600)
    assert found.database is True
    assert found.submission is True
    assert found.outbox is not None
    assert (found.outbox.messages, found.outbox.failing) == (2, 1)
    assert found.outbox.last_error == "451 4.3.0 later"
    assert found.outbox.oldest == pytest.approx(1000, abs=60)
    assert found.undeliverable is not None
    assert (found.undeliverable.messages, found.undeliverable.octets) == (1, 5)
    assert found.undeliverable.oldest == pytest.approx(0, abs=60)
    assert found.late == []


@pytest.mark.parametrize(("age", "is_late"), [(10, False), (3700, True)])
def test_what_waits_too_long_is_late(
    tmp_path: Path, make: Callable[..., Settings], url: str, age: float, is_late: bool
) -> None:
    wait_in_outbox(url, age=age, attempts=1)
    found = health.look(tmp_path, make(database=url), 3600)
    assert len(found.late) == is_late
    if is_late:
        assert found.late[0].startswith("1 message(s) wait to be submitted, the oldest for 37")
        assert found.late[0].endswith(": 451 4.3.0 later")


def test_a_queue_that_is_nearly_full_is_told(tmp_path: Path, make: Callable[..., Settings]) -> None:
    Maildir(tmp_path / "undeliverable").push(b"12345")
    found = health.look(tmp_path, make(max_undeliverable=5), 3600)
    assert found.late == ["run/undeliverable is nearly full: 5 of 5 octets"]


def test_a_disk_that_is_full_is_told(tmp_path: Path, make: Callable[..., Settings]) -> None:
    """All that asks and listens answers then, and each mail is answered 451."""
    lmtp = Lmtp(f"unix:{tmp_path}/none", max_size=2**62)
    (line,) = health.look(tmp_path, make(lmtp=lmtp)).late
    assert line.startswith(f"the disk of {tmp_path} is nearly full: ")
    assert "lmtp.max_size" in line
    gone = make(lmtp=lmtp, run_dir=tmp_path / "gone")
    assert health.look(tmp_path, gone).late == [], "that it is not there is for others to say"


def test_submission_that_is_down_degrades(
    tmp_path: Path, make: Callable[..., Settings], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(server: Submission) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(asking, "submission", down)
    wait_in_outbox(url, age=0)
    found = health.look(tmp_path, make(database=url))
    assert found.submission is False
    assert found.late == ["submission to 127.0.0.1:8899 does not answer: Connection refused"]


def test_late_timers_degrade(tmp_path: Path, make: Callable[..., Settings], url: str) -> None:
    """What is put aside waits for a person, and is not late."""
    database = Database(url)
    migrate.upgrade_ours(database)
    with database.begin() as connection:
        now = time.time()
        dues = {"late": now - 500, "soon": now + 5, "just due": now - 5, "aside": tasks.NEVER}
        tasks.put(connection, [tasks.Task("k", name, None, due) for name, due in dues.items()])
    database.close()
    found = health.look(tmp_path, make(database=url))
    assert found.timers is not None
    assert found.timers.late == 1
    assert found.late == ["1 timer(s) are late, the oldest by 500 s"]


@pytest.mark.usefixtures("running")
def test_what_hangs_is_told_in_time_and_hides_nothing_else(
    tmp_path: Path, make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    end = threading.Event()
    monkeypatch.setattr(asking, "lmtp", lambda server: end.wait(60))
    found = health.look(tmp_path, make(), seconds=0.1)
    end.set()
    assert found.problems == [
        f"lmtp on unix:{tmp_path}/none does not answer: no answer within 0.1 s"
    ]
    assert found.undeliverable is not None
    assert found.state == "down"
