"""lamson.delivery.transaction: messages of one author, copies of one message, at one time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from lamson.routing.signing import Signed
from tests.node import Node, codes, queue_id
from tests.postgres.conftest import SIGNER
from tests.waiting import wait_for

if TYPE_CHECKING:
    from types import ModuleType

    from sqlalchemy.engine import Connection

    from tests.postgres.conftest import MakeNode

pytestmark = pytest.mark.postgres

LENGTH = 20


def chain(length: int, user: str = ".+") -> str:
    """States that follow one another, each of which leaves a row and a mail."""
    names = ["START", *[f"STATE_{number:02d}" for number in range(1, length + 1)]]
    return "\n".join(
        f"""
@route("(user)@(host)", user={user!r})
def {name}(message, session: Session, delivery: Delivery, user, host):
    session.execute(text("INSERT INTO step VALUES ('{name}')"))
    delivery.send(MailResponse(to="a@b.example", sender="c@test.com", subject="x", body="x"))
    return {following!r}
"""
        for name, following in zip(names, [*names[1:], names[-1]], strict=True)
    )


def test_no_state_change_of_one_author_is_lost(make_node: MakeNode, connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE step (state text)")
    nodes = [make_node(chain(LENGTH), threads=8), make_node(threads=8)]
    replies = [reply for _ in range(LENGTH // 2) for node in nodes for reply in node.begin("x")]
    assert codes(replies) == [250] * LENGTH
    steps = connection.exec_driver_sql("SELECT state FROM step ORDER BY state").scalars().all()
    assert steps == ["START", *[f"STATE_{number:02d}" for number in range(1, LENGTH)]]
    assert states(connection) == {"zed@example.com": f"STATE_{LENGTH:02d}"}
    ids = connection.exec_driver_sql("SELECT id FROM lamson_outbox").scalars().all()
    assert len(ids) == LENGTH


GATE = """
import threading
arrived, gate = threading.Semaphore(0), threading.Event()

@route("(user)@(host)")
def START(message, session: Session, user, host):
    session.execute(text("INSERT INTO run VALUES (:s)"), {"s": message.subject})
    if message.subject == "wait":
        arrived.release()
        assert gate.wait(30)
    if message.subject == "refused":
        raise SMTPError(550, "5.7.1", "no")
    return OTHER

@route("(user)@(host)")
def OTHER(message, session: Session, user, host):
    return START(message, session, user, host) and None
"""


def hooks(node: Node) -> ModuleType:
    return sys.modules[node.dispatcher.route("list@test.com")[0].handler.module]


def runs(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql("SELECT subject FROM run ORDER BY 1").scalars())


def states(connection: Connection) -> dict[str, str]:
    found = connection.exec_driver_sql("SELECT author, state FROM lamson_state")
    return {row.author: row.state for row in found}


@pytest.fixture
def run_table(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE run (subject text)")


@pytest.mark.usefixtures("run_table")
def test_an_attempt_on_another_node_waits_and_is_a_duplicate(
    make_node: MakeNode, connection: Connection
) -> None:
    one, other = make_node(GATE), make_node()
    id = queue_id()
    first = one.begin("wait", id=id)
    assert hooks(one).arrived.acquire(timeout=60)
    second = other.begin("wait", id=id)
    wait_for_a_lock(connection)
    hooks(one).gate.set()
    assert codes(first + second) == [250, 250]
    assert runs(connection) == ["wait"]


CLICK = """
import threading
arrived, gate = threading.Semaphore(0), threading.Event()

@stateless
@route("(token)@(host)", token=Signed("confirm", once=True))
def CONFIRM(message, session: Session, token, host):
    session.execute(text("INSERT INTO run VALUES (:s)"), {"s": message.subject})
    arrived.release()
    assert gate.wait(30)
    if message.subject == "fails":
        raise RuntimeError("broken")
"""


@pytest.mark.usefixtures("run_table")
@pytest.mark.parametrize(("first", "expected"), [("wait", [250, 250]), ("fails", [451, 250])])
def test_of_two_clicks_at_the_same_moment_on_two_nodes_one_runs(
    make_node: MakeNode, connection: Connection, first: str, expected: list[int]
) -> None:
    address = f"{SIGNER.sign(Signed('confirm', once=True), 'zed')}@test.com"
    one, other = make_node(CLICK), make_node()
    module = sys.modules[one.dispatcher.route(address)[0].handler.module]
    replies = one.begin(first, recipient=address)
    assert module.arrived.acquire(timeout=60)
    replies += other.begin("other", recipient=address)
    wait_for_a_lock(connection)
    module.gate.set()
    assert codes(replies) == expected
    assert runs(connection) == ["wait" if first == "wait" else "other"]
    assert other.undeliverable.count() == (first == "wait"), "kept: nobody's bounce"


@pytest.mark.usefixtures("run_table")
def test_an_attempt_that_waits_too_long_is_told_to_come_back(
    make_node: MakeNode, connection: Connection
) -> None:
    one, other = make_node(GATE), make_node(options="-c lock_timeout=100ms")
    id = queue_id()
    first = one.begin("wait", id=id)
    assert hooks(one).arrived.acquire(timeout=60)
    assert other.send("wait", id=id) == [451]
    hooks(one).gate.set()
    assert codes(first) == [250]
    assert other.send("wait", id=id) == [250]
    assert runs(connection) == ["wait"]


@pytest.mark.usefixtures("run_table", "patient")
def test_who_waits_for_a_busy_author_holds_up_no_neighbour(
    make_node: MakeNode, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    one = make_node(GATE)
    other = make_node(options="-c lock_timeout=100ms", threads=1)
    assert other.send("quick", author="%s@example.com") == [250]
    first = one.begin("wait", author="blocked@example.com")
    assert hooks(one).arrived.acquire(timeout=60)
    # The handler has been quick so far: these two share a transaction, and cannot both commit.
    assert other.send("blocked", "neighbour", author="%s@example.com") == [451, 250]
    assert "2 deliveries are run again one by one" in caplog.text
    hooks(one).gate.set()
    assert codes(first) == [250]
    assert runs(connection) == ["neighbour", "quick", "wait"]


@pytest.mark.usefixtures("run_table")
def test_refusals_and_strangers_leave_no_states(
    make_node: MakeNode, connection: Connection
) -> None:
    node = make_node(GATE)
    assert node.send("refused", author="spam@example.com") == [550]
    assert states(connection) == {}


@pytest.mark.usefixtures("run_table")
def test_first_messages_of_many_authors_at_once(
    make_node: MakeNode, connection: Connection
) -> None:
    """Each batch locks many new rows, and the two nodes' batches overlap."""
    nodes = [make_node(GATE), make_node()]
    for node in nodes:
        assert node.send("prime") == [250]
    replies = [
        reply
        for number in range(60)
        for node in nodes
        for reply in node.begin(str(number), author=f"u{number % 20}@example.com")
    ]
    assert set(codes(replies)) == {250}
    assert len(runs(connection)) == 122
    assert len(states(connection)) == 21


def wait_for_a_lock(connection: Connection) -> None:
    """Until some transaction waits for another one."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
    wait_for(
        lambda: connection.exec_driver_sql(f"{waiting} AND wait_event_type = 'Lock'").first(),
        "a transaction that waits for another one",
    )
