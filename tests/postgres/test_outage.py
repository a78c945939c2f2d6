"""A worker that starts while PostgreSQL is away: 451, and 250 as soon as it is back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import sqlalchemy

from lamson.storage.tables import SCHEMA_REVISION, VERSION_TABLE
from tests.node import queue_id
from tests.postgres import PostgresInstance
from tests.postgres.test_services import HANDLERS, deliver, worker_pids
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

SETTINGS = """
from lamson.settings import Settings, Submission

settings = Settings(
    database="{url}",
    submission=Submission("127.0.0.1:1"),
    handlers=["handlers"],
    route_defaults={{"host": r"test\\.com"}},
    metadata=None,
)
"""


@pytest.fixture
def server() -> Iterator[PostgresInstance]:
    """One that a test may stop, and leave so where it fails."""
    with PostgresInstance(durable=False) as instance:
        yield instance


@pytest.fixture
def url(server: PostgresInstance) -> str:
    return server.url(server.create_database())


@pytest.fixture
def service(url: str, server: PostgresInstance, tmp_path: Path) -> Iterator[LamsonService]:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(SETTINGS.format(url=url))
    (tmp_path / "handlers.py").write_text(HANDLERS)
    service = LamsonService(tmp_path)
    service.command("syncdb")
    execute(server, url, "CREATE TABLE note (id text)")
    with service:
        assert answer(service, "first") == 250
        yield service


def execute(server: PostgresInstance, url: str, statement: str) -> list[str]:
    return [
        value for (value,) in server.execute(statement, sqlalchemy.make_url(url).database or "")
    ]


def answer(service: LamsonService, id: str) -> int:
    """The code of the reply, as Postfix gets it: where a connection breaks, it comes again."""
    return wait_for(lambda: deliver(service, id), "a reply to a delivery")


def replaced(service: LamsonService) -> list[int]:
    """Kill the worker; gives the next one, once it serves."""
    old = worker_pids(service)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    return wait_for(lambda: [pid for pid in worker_pids(service) if pid not in old], "a new worker")


def test_it_answers_451_until_the_database_is_back(
    service: LamsonService, server: PostgresInstance, url: str
) -> None:
    server.stop()
    replaced(service)
    id = queue_id()
    assert answer(service, id) == 451
    os.kill(service.pid, signal.SIGHUP)
    service.wait_log("reloaded: every worker was replaced")
    workers = worker_pids(service)
    assert answer(service, id) == 451
    server.start()
    assert answer(service, id) == 250
    assert answer(service, id) == 250
    assert execute(server, url, "SELECT id FROM note ORDER BY id") == [id, "first"]
    assert set(worker_pids(service)) <= set(workers)
    assert service.log_lines("Connection refused", "mail is answered 451 until it can")
    assert not service.log_lines("Traceback")


def test_it_writes_nothing_to_tables_of_another_version(
    service: LamsonService, server: PostgresInstance, url: str
) -> None:
    execute(server, url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    server.stop()
    replaced(service)
    id = queue_id()
    assert answer(service, id) == 451
    server.start()
    assert answer(service, id) == 451
    assert service.log_lines("1 deliveries answered 451", "is at schema 9999")
    execute(server, url, f"UPDATE {VERSION_TABLE} SET version_num = '{SCHEMA_REVISION}'")
    assert answer(service, id) == 250
    assert len(service.log_lines("; replacing it")) == 1
    assert not service.log_lines("Traceback")


def test_a_reload_goes_to_no_other_database_that_does_not_answer(service: LamsonService) -> None:
    elsewhere = SETTINGS.format(url="postgresql://lamson@127.0.0.1:1/none")
    (service.project / "config" / "settings.py").write_text(elsewhere)
    os.kill(service.pid, signal.SIGHUP)
    service.wait_log("stays: its replacement failed", "127.0.0.1:1/none cannot be used")
    assert answer(service, queue_id()) == 250


def test_the_service_does_not_start_without_its_database(
    service: LamsonService, server: PostgresInstance
) -> None:
    service.stop()
    server.stop()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "lamson", "start", "-foreground"],
            cwd=service.project,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        server.start()
    assert done.returncode == os.EX_UNAVAILABLE
    assert "cannot be used: connection failed" in done.stderr
