"""What a batch costs on PostgreSQL: how often it waits for the server."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from lamson.storage.outbox import Outbox
from tests.unit.delivery.jobs import codes, states
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.delivery.jobs import Run

MOVING = """
@route("(user)@(host)")
def START(message, delivery: Delivery, user, host):
    delivery.forward(message.sender)
    return TOLD


@route("(user)@(host)")
def TOLD(message, delivery: Delivery, user, host):
    delivery.forward(message.sender)
    return START
"""


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


def submit_all(outbox: Outbox) -> None:
    """As the relay does, up to what a transaction deletes."""
    for row in outbox.all():
        outbox.held.hold([row])
        outbox.held.begin()
        outbox.held.take(row)


@pytest.mark.postgres
def test_a_batch_waits_for_the_server_four_times(
    make_run: Callable[..., Run], database: Database, tmp_path: Path
) -> None:
    """Ten deliveries that move states and send, with what Postfix took of the last ten."""
    outbox = Outbox(database, "test")
    run = make_run(MOVING, outbox=outbox)

    def batch(name: str) -> None:
        messages = [make_message(sender=f"{number}@example.com") for number in range(10)]
        keys = [f"{name}{number}".encode() for number in range(10)]
        assert codes(run(*messages, keys=keys)) == [250] * 10

    batch("first")  # looks whether anything is left of an earlier version
    submit_all(outbox)
    trace = tmp_path / "trace"
    with trace.open("wb") as file:

        def follow(connection: Any, *_: object) -> None:
            connection.pgconn.trace(file.fileno())

        event.listen(database.engine, "checkout", follow)
        event.listen(database.engine, "checkin", lambda one, _: one.pgconn.untrace())
        batch("second")
        event.remove(database.engine, "checkout", follow)
    sides = re.findall(rb"(?m)^[-\d:. ]*\t([FB])\t\d", trace.read_bytes())
    assert [side for side, _ in itertools.groupby(sides)] == [b"F", b"B"] * 4
    assert len(outbox.all()) == 10
    assert set(states(database).values()) == {"START"}
