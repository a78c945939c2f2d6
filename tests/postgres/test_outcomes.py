"""What became of mail, told by several transactions at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from lamson.delivery.batches import Batches
from lamson.delivery.job import Job
from lamson.storage.database import Database
from tests.unit.delivery.tracked import Room, dsn, failed
from tests.unit.support import make_key, make_message
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection

pytestmark = pytest.mark.postgres

SOURCE = """
    import threading
    told = []
    inside, go, meeting = threading.Event(), threading.Event(), threading.Barrier(2)
    met = set()

    @route("list@(host)")
    def START(message, delivery: Delivery, host):
        if message.subject == "meet" and message.author not in met:
            met.add(message.author)
            meeting.wait(20)
        mail = MailResponse(to="joe@example.com", sender="l@test.com", subject="x", body="x")
        delivery.send(mail, track=True)

    @route_like(START)
    def GONE(message, host): ...

    @outcome
    def BOUNCED(outcome, db: Session):
        if "wait" in outcome.diagnostic:
            inside.set()
            go.wait(20)
        if "break" in outcome.diagnostic and len(met) == 0:
            met.add("broken")
            raise RuntimeError("broken")
        told.append(outcome)
        return GONE
"""


@pytest.fixture
def room(url: str, tmp_path: Path) -> Iterator[Room]:
    database = Database(url)
    yield Room(tmp_path, database, SOURCE)
    database.close()


def handle(room: Room, *messages: Any) -> list[int]:
    """As the dispatcher does: what was undone in favour of others is run again."""
    jobs = [
        Job(one, room.router.match(one.recipient.address), make_key(f"{id(one)}".encode()))
        for one in messages
    ]
    Batches(room.transactions, lambda job, seconds: None).run(jobs)
    return [job.reply.code if job.reply else 0 for job in jobs]


def report(row: Any, said: str = "550 no such user") -> Any:
    return make_message(dsn(failed("joe@example.com", said=said)), sender="", recipient=row.sender)


@pytest.mark.parametrize(("said", "codes"), [("wait", (250, 250)), ("wait break", (451, 250))])
def test_two_reports_at_a_time_are_told_of_once(
    room: Room, connection: Connection, said: str, codes: tuple[int, int]
) -> None:
    """The second waits for the first, and tells where that fails."""
    row = room.send()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(handle, room, report(row, f"550 {said}"))
        assert room.module.inside.wait(20)
        second = pool.submit(handle, room, report(row))
        wait_for(lambda: connection.exec_driver_sql(waiting).scalar(), "the second to wait")
        room.module.go.set()
        assert (first.result()[0], second.result()[0]) == codes
    assert len(room.told) == 1
    assert room.states() == {"zed@example.com": "GONE"}


def test_two_transactions_that_want_each_others_conversations(room: Room) -> None:
    """One is ended by the database, and runs again."""
    of_zed, of_ann = room.send(), room.send(sender="ann@example.com")

    def batch(author: str, other: Any) -> list[int]:
        content = f"From: {author}\r\nSubject: meet\r\n\r\nx\r\n".encode()
        return handle(room, make_message(content, sender=author), report(other))

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(batch, "zed@example.com", of_ann)
        other = pool.submit(batch, "ann@example.com", of_zed)
        assert one.result() + other.result() == [250] * 4
    assert room.states() == {"zed@example.com": "GONE", "ann@example.com": "GONE"}
    with room.database.read() as connection:
        number = connection.exec_driver_sql("SELECT count(*) FROM lamson_outcomes").scalar()
    assert number == 2
