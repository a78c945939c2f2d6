"""Two independent `lamson start` services on one PostgreSQL, each with workers of its own."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy

from tests.node import queue_id
from tests.postfix.sink import Sink
from tests.postgres.test_races import chain
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.postgres import PostgresInstance

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

SETTINGS = """
from lamson.settings.model import Settings

settings = Settings(
    handlers=["steps", "handlers"],
    route_defaults={"host": r"test\\.com"},
    metadata=None,
    workers=2,
)
"""

IMPORTS = """
from sqlalchemy import text
from sqlalchemy.orm import Session

from lamson import Delivery, MailRequest, MailResponse, route
"""
HANDLERS = f"""{IMPORTS}

@route("(user)@(host)", user=".+")
def START(message: MailRequest, delivery: Delivery, db: Session, user: str, host: str):
    db.execute(text("INSERT INTO note VALUES (:id)"), {{"id": message.subject}})
    to = f"{{user}}@world.example"
    delivery.send(MailResponse(to=to, sender="c@test.com", subject=message.subject, body="x"))
"""


STEPS = 40


class Nodes:
    """The database, and what services were started on it."""

    def __init__(self, postgres: PostgresInstance, url: str, directory: Path) -> None:
        self._postgres = postgres
        self._url = url
        self._name = sqlalchemy.make_url(url).database or ""
        self._directory = directory
        self._stack = ExitStack()

    def make(self, name: str, port: int) -> LamsonService:
        """A service that is not started yet, with a project of its own; it submits to ``port``."""
        project = self._directory / name
        (project / "config").mkdir(parents=True)
        (project / "config" / "settings.py").write_text(SETTINGS)
        (project / "handlers.py").write_text(HANDLERS)
        (project / "steps.py").write_text(IMPORTS + chain(STEPS, user="steps"))
        return LamsonService(
            project, LAMSON_DATABASE=self._url, LAMSON_SUBMISSION__SERVER=f"127.0.0.1:{port}"
        )

    def start(self, *services: LamsonService) -> None:
        """Make the tables, from all nodes at once, and start them."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda service: service.command("syncdb"), services))
            self.query("CREATE TABLE note (id text)")
            self.query("CREATE TABLE step (state text)")
            list(pool.map(self._stack.enter_context, services))

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self._postgres.execute(statement, self._name)

    def notes(self) -> Counter[str]:
        return Counter(id for (id,) in self.query("SELECT id FROM note"))

    def outbox(self) -> list[str]:
        """The owners of the rows."""
        return [owner for (owner,) in self.query("SELECT lease_owner FROM lamson_outbox")]

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def nodes(postgres: PostgresInstance, postgres_url: str, tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(postgres, postgres_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A submission server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


def deliver(service: LamsonService, id: str, user: str = "", author: str = "") -> int:
    """One message as Postfix hands it over; gives the code of the reply, 0 without one."""
    author = author or f"z-{id}@e.example"
    try:
        with smtplib.LMTP("127.0.0.1", service.port, timeout=60) as client:
            client.ehlo()
            client.docmd("XFORWARD", f"IDENT={id}")
            client.mail("z@e.example")
            client.rcpt(f"{user or id}@test.com")
            return client.data(f"From: {author}\r\nSubject: {id}\r\n\r\nx\r\n".encode())[0]
    except (smtplib.SMTPException, OSError):
        return 0


def deliver_all(ids: Sequence[str], choose: Callable[[int], LamsonService]) -> None:
    """Hand messages over, several at a time, each until it is taken; ``choose`` by attempt."""

    def until_taken(id: str) -> None:
        attempts = iter(range(1000))
        wait_for(
            lambda: deliver(choose(next(attempts)), id) == 250, f"{id} to be taken", timeout=60
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(until_taken, ids))


def kill(service: LamsonService) -> None:
    """End all processes of a service, as if its machine had lost its power."""
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    service.kill()
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


def worker_pids(service: LamsonService) -> list[int]:
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def message_ids(sink: Sink) -> Counter[str]:
    return Counter(str(one.message["Message-ID"]) for one in list(sink.messages))


def test_each_message_has_its_effect_once_though_both_nodes_get_it(
    nodes: Nodes, sink: Sink
) -> None:
    services = [nodes.make("one", sink.port), nodes.make("other", sink.port)]
    nodes.start(*services)
    ids = [queue_id() for _ in range(100)]
    turns = cycle(services)
    # Every second message is handed to both nodes, at about the same time.
    deliver_all([*ids, *ids[::2]], lambda attempt: next(turns))
    assert nodes.notes() == Counter(ids)
    sink.wait(len(ids))
    wait_for(lambda: nodes.outbox() == [], "the outbox to be empty")
    assert len(sink.messages) == len(message_ids(sink)) == len(ids)
    for service in services:
        assert service.log_lines("handled ")


def test_no_state_change_of_one_author_is_lost_between_two_nodes(nodes: Nodes, sink: Sink) -> None:
    services = [nodes.make("one", sink.port), nodes.make("other", sink.port)]
    nodes.start(*services)

    def send(number: int) -> int:
        return deliver(services[number % 2], queue_id(), user="steps", author="zed@example.com")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(send, range(STEPS))) == [250] * STEPS
    steps = sorted(state for (state,) in nodes.query("SELECT state FROM step"))
    assert steps == ["START", *[f"STATE_{number:02d}" for number in range(1, STEPS)]]
    assert nodes.query("SELECT state FROM lamson_state") == [(f"STATE_{STEPS:02d}",)]
    sink.wait(STEPS)


def test_a_node_that_dies_under_load_loses_nothing(nodes: Nodes, sink: Sink) -> None:
    services = [nodes.make("one", sink.port), nodes.make("other", sink.port)]
    nodes.start(*services)
    ids = [queue_id() for _ in range(150)]
    turns = cycle(services)
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(deliver_all, ids, lambda attempt: next(turns))
        wait_for(lambda: len(nodes.notes()) > 40, "some of the load")
        kill(services[0])
        load.result(120)
    assert nodes.notes() == Counter(ids)
    nodes.query("UPDATE lamson_outbox SET lease_until = lease_until - 300")  # five minutes later
    wait_for(lambda: nodes.outbox() == [], "the outbox to be empty")
    # What was submitted in the last moment of the first node may come twice, by the same name.
    assert len(message_ids(sink)) == len(ids)


def test_a_dead_nodes_mail_leaves_when_its_lease_has_ended(
    nodes: Nodes, sink: Sink, silent_port: int
) -> None:
    one, other = nodes.make("one", silent_port), nodes.make("other", sink.port)
    nodes.start(one, other)
    ids = [queue_id() for _ in range(10)]
    deliver_all(ids, lambda attempt: one)
    kill(one)
    last = queue_id()
    deliver_all([last], lambda attempt: other)
    sink.wait(to=f"{last}@world.example")
    wait_for(lambda: len(nodes.outbox()) == len(ids), "the row of what was taken to be deleted")
    assert all(":" in owner for owner in nodes.outbox())
    nodes.query("UPDATE lamson_outbox SET lease_until = lease_until - 300")  # five minutes later
    sink.wait(len(ids) + 1)
    wait_for(lambda: nodes.outbox() == [], "the outbox to be empty")
    assert message_ids(sink).most_common(1)[0][1] == 1


def test_the_mail_of_a_killed_worker_is_taken_over_at_once(nodes: Nodes, silent_port: int) -> None:
    one = nodes.make("one", silent_port)
    nodes.start(one)
    ids = [queue_id() for _ in range(10)]
    deliver_all(ids, lambda attempt: one)
    dead = worker_pids(one)
    theirs = f"[.]({'|'.join(map(str, dead))})[.]"
    owned = f"SELECT count(*) FROM lamson_outbox WHERE lease_owner ~ '{theirs}'"
    assert nodes.query(owned) == [(10,)]
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: nodes.query(owned) == [(0,)], "the leases of the dead to be given back")
    assert len(nodes.outbox()) == 10
