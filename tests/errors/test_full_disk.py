"""The whole service on a full disk: database, log, notes and process files."""

from __future__ import annotations

import os
import signal
import smtplib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.errors.conftest import Disk

pytestmark = pytest.mark.slow

SETTINGS = """
from lamson.settings import Settings, Submission

settings = Settings(
    submission=Submission("127.0.0.1:1"),
    handlers=["handlers"],
    route_defaults={"host": r"test\\.com"},
    database="sqlite:///run/lamson.db",
    metadata=None,
)
"""

HANDLERS = """
from lamson import Delivery, MailRequest, MailResponse, route, stateless

@route("(user)@(host)", user=".+")
@stateless
def handle(message: MailRequest, delivery: Delivery, user: str, host: str) -> None:
    delivery.send(MailResponse(to="a@b.example", sender="c@test.com", subject="x", body="x" * 9000))
"""


@pytest.fixture
def project(disk: Disk) -> Path:
    (disk.path / "config").mkdir()
    (disk.path / "config" / "settings.py").write_text(SETTINGS)
    (disk.path / "handlers.py").write_text(HANDLERS)
    return disk.path


@contextmanager
def connected(service: LamsonService) -> Iterator[smtplib.LMTP]:
    with smtplib.LMTP("127.0.0.1", service.port, timeout=60) as client:
        client.ehlo()
        yield client


def send(client: smtplib.LMTP, count: int) -> Sequence[int]:
    """Messages on one connection; gives the code of each reply to the data."""
    codes = []
    for number in range(count):
        client.mail("z@e.example")
        client.rcpt(f"u{number}@test.com")
        codes.append(client.data(b"Subject: x\r\n\r\nx\r\n")[0])
    return codes


def workers(service: LamsonService) -> list[int]:
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def test_every_message_is_answered_451_until_there_is_room(disk: Disk, project: Path) -> None:
    service = LamsonService(project)
    service.command("syncdb")
    with service:
        (worker,) = workers(service)
        with connected(service) as client:
            assert send(client, 3) == [250] * 3
            disk.fill()
            assert send(client, 20) == [451] * 20
            disk.free()
            assert send(client, 3) == [250] * 3
        assert workers(service) == [worker]
        disk.fill()
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: workers(service) not in ([], [worker]), "a new worker")
        with connected(service) as client:
            assert send(client, 3) == [451] * 3
            disk.free()
            assert send(client, 3) == [250] * 3
        service.wait_log("answered 451: the database failed: database or disk is full")
