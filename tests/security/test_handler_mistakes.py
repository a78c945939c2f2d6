"""A handler may not commit for its neighbours: each mistake is made in a real service under load.

Bad mail comes among good mail, in the same transactions. Every good one has its row and its reply
once, and is answered 250; the service needs no help afterwards.
"""

from __future__ import annotations

import smtplib
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.postfix.sink import Sink
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.storage.database import Database

pytestmark = pytest.mark.slow

SETTINGS = """
from lamson.settings import Settings

settings = Settings(handlers=["handlers"], route_defaults={"host": r"test\\.com"}, metadata=None)
"""

HANDLERS = """
import os

from sqlalchemy import text
from sqlalchemy.orm import Session

from lamson import Delivery, MailResponse, route, stateless


def driver(db):
    return db.connection().connection.driver_connection


def let_return(db):
    if (child := os.fork()) == 0:
        return
    os.waitpid(child, 0)


MISTAKES = {
    "good": lambda db: None,
    "commit": lambda db: db.execute(text("COMMIT")),
    "driver": lambda db: driver(db).commit(),
    "connection": lambda db: db.connection().commit(),
    "script": lambda db: driver(db).executescript("COMMIT;"),
    "around": lambda db: driver(db).pgconn.exec_(b"COMMIT"),
    "invalidate": lambda db: db.connection().invalidate(),
    "detach": lambda db: db.connection().detach(),
    "rows": lambda db: setattr(driver(db), "row_factory", lambda cursor, row: {}),
    "setting": lambda db: db.execute(text(SETTING)),
    "close": lambda db: db.close(),
}
SETTING = "%s"


def handle(message, delivery, db, what, number):
    db.execute(text("INSERT INTO note VALUES (:id)"), {"id": f"{what}-{number}"})
    to = f"{what}-{number}@world.example"
    delivery.send(MailResponse(to=to, sender="c@test.com", subject="x", body="x"))


@route("(what)-(number)@(host)", what="[a-z]+", number="[0-9]+")
@stateless
def HANDLE(message, delivery: Delivery, db: Session, what: str, number: str, host: str):
    handle(message, delivery, db, what, number)
    MISTAKES[what](db)


@route("(what)-(number)@slow.test.com", what="[a-z]+", number="[0-9]+")
@stateless
def FORK(message, delivery: Delivery, db: Session, what: str, number: str):
    handle(message, delivery, db, what, number)
    let_return(db)
"""

REFUSED = ("commit", "driver", "connection", "invalidate", "detach", "rows", "setting")
SETTING = {True: "PRAGMA query_only=ON", False: "SET search_path TO pg_catalog"}
ROUNDS = 2
GOOD = 12  # beside each mistake


class Service:
    """The service and its database."""

    def __init__(self, directory: Path, database: Database, sink: Sink) -> None:
        (directory / "config").mkdir()
        (directory / "config" / "settings.py").write_text(SETTINGS)
        (directory / "handlers.py").write_text(HANDLERS % SETTING[database.is_sqlite])
        url = database.engine.url.render_as_string(hide_password=False)
        self.lamson = LamsonService(
            directory,
            LAMSON_DATABASE=url,
            LAMSON_SUBMISSION__SERVER=f"127.0.0.1:{sink.port}",
        )
        self.database = database
        self._messages = 0

    def send(self, recipients: list[str]) -> dict[str, int]:
        """One message to all of them, as Postfix hands it over; gives the replies."""
        self._messages += 1
        with smtplib.LMTP("127.0.0.1", self.lamson.port, timeout=60) as client:
            client.ehlo()
            client.docmd("XFORWARD", f"IDENT=4YkVZ13Qw{self._messages}z1b2")
            client.mail("z@e.example")
            for one in recipients:
                assert client.rcpt(one)[0] == 250
            assert client.docmd("DATA")[0] == 354
            client.send(b"From: z@e.example\r\nSubject: x\r\n\r\nx\r\n.\r\n")
            return {one: client.getreply()[0] for one in recipients}

    def notes(self) -> Counter[str]:
        with self.database.read() as connection:
            return Counter(connection.execute(text("SELECT id FROM note")).scalars())


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def service(empty_database: Database, tmp_path: Path, sink: Sink) -> Iterator[Service]:
    made = Service(tmp_path, empty_database, sink)
    made.lamson.command("syncdb")
    with empty_database.begin() as connection:
        connection.execute(text("CREATE TABLE note (id text)"))
    with made.lamson:
        yield made


def test_a_mistake_costs_no_neighbour_anything(service: Service, sink: Sink) -> None:
    kinds = [*REFUSED, "close", "script" if service.database.is_sqlite else "around"]
    done: Counter[str] = Counter()
    numbers = iter(range(10_000))
    service.send([f"good-{next(numbers)}@test.com"])  # now it is known to be quick
    done["good-0"] += 1
    for kind in kinds * ROUNDS:
        good = [f"good-{next(numbers)}@test.com" for _ in range(GOOD)]
        recipients = [*good[: GOOD // 2], f"{kind}-{next(numbers)}@test.com", *good[GOOD // 2 :]]
        replies = service.send(recipients)
        assert {replies.pop(one) for one in good} == {250}, kind
        ((bad, code),) = replies.items()
        # PostgreSQL's settings are put back when the handler has returned; SQLite's are refused.
        is_harmless = kind == "close" or (kind == "setting" and not service.database.is_sqlite)
        assert code == (250 if is_harmless else 451), kind
        done.update(one.partition("@")[0] for one in good)
        done.update([bad.partition("@")[0]] if code == 250 else [])
    forked = [f"good-{next(numbers)}@slow.test.com", f"good-{next(numbers)}@test.com"]
    assert set(service.send(forked).values()) == {250}
    done.update(one.partition("@")[0] for one in forked)

    wait_for(lambda: len(sink.messages) >= len(done), "all replies")
    came = Counter(message.recipients[0].partition("@")[0] for message in sink.messages)
    assert came == done
    notes = service.notes()
    # What "around" committed before it was noticed is its own affair.
    assert {id: n for id, n in notes.items() if not id.startswith("around")} == done
    assert service.lamson.log_lines("ERROR", "handlers.HANDLE", "ended the transaction")
