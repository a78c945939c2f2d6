"""lamson.delivery.dispatcher: deliveries that PostgreSQL ends in favour of others are run again, or
refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.node import codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

    from tests.postgres import PostgresInstance
    from tests.postgres.conftest import MakeNode

pytestmark = pytest.mark.postgres

# The subjects "a b" and "b a" change two rows in that order; the first time, each of the two
# handlers waits until the other one has its first row.
ACCOUNTS = """
import threading
meeting = threading.Barrier(2)
met = set()

@route("(user)@(host)")
@stateless
def handle(message, session: Session, delivery: Delivery, user, host):
    for number, name in enumerate(message.subject.split()):
        session.execute(text("UPDATE account SET sum = sum + 1 WHERE name = :n"), {"n": name})
        if number == 0 and len(message.subject) == 3 and message.subject not in met:
            met.add(message.subject)
            meeting.wait(20)
    delivery.send(MailResponse(to="a@b.example", sender="c@test.com", subject="x", body="x"))
"""


@pytest.fixture(autouse=True)
def accounts(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE account (name text PRIMARY KEY, sum int)")
    connection.exec_driver_sql("INSERT INTO account SELECT *, 0 FROM unnest('{a,b,c,d,e}'::text[])")


def sums(connection: Connection) -> dict[str, int]:
    found = connection.exec_driver_sql("SELECT name, sum FROM account WHERE sum > 0 ORDER BY name")
    return {row.name: row.sum for row in found}


def count(connection: Connection, table: str) -> int:
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


@pytest.fixture
def deadlocks(postgres: PostgresInstance) -> Callable[[], int]:
    """How many deadlocks PostgreSQL has resolved since the test began."""
    before = postgres.log_text().count("deadlock detected")
    return lambda: postgres.log_text().count("deadlock detected") - before


def test_two_handlers_in_a_deadlock_both_do_their_work(
    make_node: MakeNode, connection: Connection, deadlocks: Callable[[], int]
) -> None:
    one, other = make_node(ACCOUNTS), make_node()
    assert codes(one.begin("a b") + other.begin("b a")) == [250, 250]
    assert deadlocks() == 1
    assert sums(connection) == {"a": 2, "b": 2}
    assert count(connection, "lamson_outbox") == 2
    assert count(connection, "lamson_seen") == 2
    assert len(one.outgoing + other.outgoing) == 2


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("first", ["a b", "b a"])
def test_the_neighbours_of_a_victim_are_handled_once(
    make_node: MakeNode, connection: Connection, deadlocks: Callable[[], int], first: str
) -> None:
    """Batches of three meet in a deadlock; whichever is the victim."""
    one, other = make_node(ACCOUNTS, threads=1), make_node(threads=1)
    assert one.send("e") + other.send("e") == [250, 250]  # quick handlers share a transaction
    second = first[::-1]
    replies = one.begin("c", first, "c") + other.begin("d", second, "d")
    assert codes(replies) == [250] * 6
    assert deadlocks() == 1
    assert sums(connection) == {"a": 2, "b": 2, "c": 2, "d": 2, "e": 2}
    assert count(connection, "lamson_outbox") == count(connection, "lamson_seen") == 8


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_serialization_failures_end_as_done_once_or_to_be_sent_again(
    make_node: MakeNode, connection: Connection, isolation: str
) -> None:
    isolated = "-c default_transaction_isolation=" + isolation.replace(" ", "\\ ")
    nodes = [make_node(ACCOUNTS, options=isolated), make_node(options=isolated)]
    replies = [reply for _ in range(30) for node in nodes for reply in node.begin("a")]
    found = codes(replies)
    assert set(found) <= {250, 451}
    done = found.count(250)
    assert done > 2
    assert sums(connection) == {"a": done}
    assert count(connection, "lamson_outbox") == count(connection, "lamson_seen") == done


DEFERRED = """
@route("(user)@(host)")
@stateless
def handle(message, session: Session, user, host):
    session.execute(text("INSERT INTO child VALUES (:n)"), {"n": message.subject})
"""


@pytest.mark.usefixtures("patient")
def test_a_constraint_checked_at_the_commit_fails_its_own_delivery_alone(
    make_node: MakeNode, connection: Connection
) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE child (name text REFERENCES account DEFERRABLE INITIALLY DEFERRED)"
    )
    node = make_node(DEFERRED, threads=1)
    assert node.send("e") == [250]
    assert node.send("a", "nobody", "b") == [250, 451, 250]
    assert count(connection, "child") == count(connection, "lamson_seen") == 3
