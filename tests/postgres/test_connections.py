"""A connection to PostgreSQL that ends before, during or after COMMIT, and a server that is away.

Whatever happened, the answer is 451; when Postfix delivers again, the handler has run once.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import sqlalchemy

from tests.faults.proxy import Link, Proxy, Rule, Verdict
from tests.node import Node, codes, queue_id
from tests.postgres import PostgresInstance
from tests.unit.support import make_router
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from tests.postgres.conftest import MakeNode

pytestmark = pytest.mark.postgres

NOTE = """
@route("(user)@(host)")
def START(message, session: Session, delivery: Delivery, user, host):
    session.execute(text("INSERT INTO note VALUES (:word)"), {"word": message.subject})
    delivery.send(MailResponse(to="a@b.example", sender="c@test.com", subject="x", body="x"))
    if message.body.startswith("hurt"):
        try:
            session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        except Exception:
            if "ignored" not in message.body:
                raise

def ERROR(message, user=None, host=None):
    pass
"""


@pytest.fixture(autouse=True)
def note(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE note (word text)")


def words(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql("SELECT word FROM note ORDER BY 1").scalars())


def kept(node: Node) -> int:
    return node.undeliverable.count()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("subject", ["hurt", "hurt, and ignored"])
def test_before_the_commit(
    make_node: MakeNode,
    connection: Connection,
    subject: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The whole batch is undone, also where the handler ignores it, and nobody is in ERROR."""
    node = make_node(NOTE, threads=1)
    assert node.send("one") == [250]
    assert node.send("two", subject, "three", author="%s@example.com") == [451] * 3
    assert words(connection) == ["one"]
    assert node.send("three", author="%s@example.com") == [250]
    assert words(connection) == ["one", "three"]
    assert kept(node) == 0
    assert "3 deliveries answered 451" in caplog.text
    assert "Traceback" not in caplog.text


def test_during_the_commit(
    make_node: MakeNode,
    connection: Connection,
    postgres: PostgresInstance,
    postgres_url: str,
) -> None:
    connection.exec_driver_sql(
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'"
    )
    connection.exec_driver_sql(
        "CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON note DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION linger()"
    )
    node = make_node(NOTE)
    id = queue_id()
    reply = node.begin("one", id=id)
    name = sqlalchemy.make_url(postgres_url).database or ""
    wait_for(
        lambda: postgres.terminate_backends(name, "query = 'COMMIT' AND wait_event = 'PgSleep'"),
        "a commit under way",
    )
    assert codes(reply) == [451]
    assert words(connection) == []
    connection.exec_driver_sql("DROP TRIGGER linger ON note")
    assert node.send("one", id=id) == [250]
    assert words(connection) == ["one"]


class LoseCommitReply(Rule):
    """Lets PostgreSQL commit, and cuts the connection instead of passing that on."""

    def from_client(self, link: Link, data: bytes) -> Verdict:
        link.note = b"COMMIT\0" in data  # not READ COMMITTED
        return Verdict(data)

    def from_server(self, link: Link, data: bytes) -> Verdict:
        return Verdict(b"", True) if link.note and self.take() else Verdict(data)


def test_after_the_commit(
    url: str, postgres: PostgresInstance, connection: Connection, tmp_path: Path
) -> None:
    rule = LoseCommitReply()
    router = make_router(tmp_path, NOTE)
    with Proxy(postgres.port, rule) as proxy:
        through = sqlalchemy.make_url(url).set(port=proxy.port).render_as_string()
        with Node(router, through, tmp_path) as node:
            assert node.send("first") == [250]
            rule.arm()
            id = queue_id()
            assert node.send("one", id=id) == [451]
            assert rule.struck == 1
            assert words(connection) == ["first", "one"]
            assert node.send("one", id=id) == [250]
            assert words(connection) == ["first", "one"]
            assert kept(node) == 0


@pytest.fixture
def own_postgres() -> Iterator[PostgresInstance]:
    with PostgresInstance(durable=False) as instance:
        yield instance


@contextmanager
def noting(server: PostgresInstance, directory: Path) -> Iterator[Node]:
    """A node whose handler notes words in a table."""
    url = server.url(server.create_database())
    with Node(make_router(directory, NOTE), url, directory) as node:
        node.database.create_all()
        with node.database.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE note (word text)")
        yield node


@pytest.mark.slow
def test_one_lost_connection_tells_of_all_in_the_pool(
    own_postgres: PostgresInstance, tmp_path: Path
) -> None:
    with noting(own_postgres, tmp_path) as node:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(node.database.engine.connect())
        own_postgres.stop(immediate=True)
        own_postgres.start()
        assert node.send("lost") == [451]
        assert node.send("x") == [250]


@pytest.mark.slow
def test_a_server_that_is_away_and_comes_back(
    own_postgres: PostgresInstance, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with noting(own_postgres, tmp_path) as node:
        for immediate in (False, True):
            assert node.send("x", "y", "z") == [250] * 3
            own_postgres.stop(immediate=immediate)
            began = time.monotonic()
            assert node.send("lost", "lost", "lost", timeout=20.0) == [451] * 3
            assert node.send("lost", timeout=20.0) == [451]
            assert time.monotonic() - began < 10.0
            own_postgres.start()
            assert node.send("x") == [250]
        with node.database.read() as reader:
            assert set(words(reader)) == {"x", "y", "z"}
            assert len(words(reader)) == 8
    assert "connection refused" in caplog.text.lower()
    assert "Traceback" not in caplog.text
