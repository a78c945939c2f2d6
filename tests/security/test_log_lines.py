"""A stranger's mail forges no line of the log, and shows neither text nor parameter there."""

from __future__ import annotations

import re
import smtplib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.service import LamsonService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SETTINGS = """
from lamson.settings import Settings
settings = Settings(database="sqlite:///run/lamson.db", handlers=["app.handlers"])
"""
HANDLERS = """
import threading
from lamson import route, stateless
from sqlalchemy import text
from sqlalchemy.orm import Session

@route("raise@test.com")
@stateless
def START(message):
    raise ValueError("cannot understand " + message.body)

@route("later@test.com")
@stateless
def LATER(message):
    thread = threading.Thread(target=int, args=(message.body,))
    thread.start()
    thread.join()

@route("decode@test.com")
@stateless
def DECODE(message):
    (message.body.encode() + b"\\xff").decode()

@route("insert@test.com")
@stateless
def INSERT(message, db: Session):
    db.execute(text("INSERT INTO nowhere VALUES (:body)"), {"body": message.body})
"""
FORGED = '2026-11-28T20:00:00.000+00:00 submitted id=4jcFORGED reply="250 2.0.0 Ok"'
BODY = f"s3cret\r\n{FORGED}\r\n\x1b[2Jclear \u2028{FORGED}\u202e backwards\r\n"
OURS = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+\+00:00 [A-Za-z]+ (id=|lamson|py\.warnings)|    ")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LamsonService]:
    for name in ("app", "config"):
        (tmp_path / name).mkdir()
    (tmp_path / "config/settings.py").write_text(SETTINGS)
    (tmp_path / "app/handlers.py").write_text(HANDLERS)
    service = LamsonService(tmp_path)
    service.command("syncdb")
    with service:
        yield service


def deliver(service: LamsonService, recipient: str) -> None:
    with smtplib.LMTP("127.0.0.1", service.port) as client:
        message = "Content-Type: text/plain; charset=utf-8\r\n\r\n" + BODY
        with suppress(smtplib.SMTPException):  # 451
            client.sendmail("stranger@example.com", [recipient], message.encode())


def lines(service: LamsonService) -> list[str]:
    return (service.project / "logs/lamson.log").read_text().splitlines()


@pytest.mark.parametrize("recipient", ["raise@test.com", "later@test.com"])
def test_an_exception_that_quotes_a_mail_forges_no_line(
    service: LamsonService, recipient: str
) -> None:
    deliver(service, recipient)
    service.wait_log("    ValueError: ")
    service.wait_log("replied id=")
    found = lines(service)
    assert any(FORGED in line for line in found), "it is told, as what it is"
    assert [line for line in found if not OURS.match(line)] == []
    assert [line for line in found if line.startswith(FORGED[:20])] == []
    assert all(line.isprintable() for line in found)


@pytest.mark.parametrize("recipient", ["decode@test.com", "insert@test.com"])
def test_what_was_decoded_or_inserted_is_not_told(service: LamsonService, recipient: str) -> None:
    deliver(service, recipient)
    service.wait_log("ERROR", recipient)
    service.wait_log("replied id=")
    assert [line for line in lines(service) if "s3cret" in line] == []
    assert "s3cret" not in service.output()
