"""Whoever silences a judge of spam holds up nobody's mail, and has none refused."""

from __future__ import annotations

import smtplib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.service import LamsonService
from tests.waiting import free_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SETTINGS = """
from lamson.settings import Settings, Spam

settings = Settings(
    database="sqlite:///run/lamson.db",
    handlers=["app.handlers"],
    route_defaults={"host": r"test\\.com"},
    metadata=None,
    threads=2,
    spam=Spam(judges=["spamd:127.0.0.1:JUDGE"], timeout=5),
)
"""
HANDLERS = """
from sqlalchemy import text
from sqlalchemy.orm import Session
from lamson import log, route, spam_filter, stateless

@route("judged@(host)")
@stateless
@spam_filter()
def JUDGED(message, db: Session, host):
    log.event("ran", message.envelope.id, handler="judged")

@route("open@(host)")
@stateless
def OPEN(message, db: Session, host):
    db.execute(text("SELECT 1"))
    log.event("ran", message.envelope.id, handler="open")
"""


def send(port: int, name: str, number: int) -> int:
    with smtplib.LMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo()
        client.docmd(f"XFORWARD IDENT=4ZxWQk{number:04d}z5tVb PROTO=ESMTP")
        client.mail("zed@example.com")
        client.rcpt(f"{name}@test.com")
        code, _ = client.data(f"From: zed@example.com\r\nSubject: {number}\r\n\r\nhi\r\n")
        return code


def test_a_judge_that_says_nothing(tmp_path: Path) -> None:
    port = free_port()
    # It takes connections, as a machine does whose program hangs, and that is all.
    silent = socket.create_server(("127.0.0.1", 0), backlog=64)
    judge = str(silent.getsockname()[1])
    (tmp_path / "config").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "config/settings.py").write_text(SETTINGS.replace("JUDGE", judge))
    (tmp_path / "app/handlers.py").write_text(HANDLERS)
    (tmp_path / "app/__init__.py").touch()
    lamson = LamsonService(tmp_path, LAMSON_LMTP__LISTEN=f"127.0.0.1:{port}")
    lamson.command("syncdb")
    codes: list[int] = []

    def judged(number: int) -> None:
        codes.append(send(port, "judged", number))

    with silent, lamson:
        waiting = [threading.Thread(target=judged, args=(number,)) for number in range(4)]
        for one in waiting:
            one.start()
        lamson.wait_log("routed", "recipient=judged@test.com", count=4)
        assert [send(port, "open", number) for number in range(10, 20)] == [250] * 10
        for one in waiting:
            one.join(60)
        assert codes == [250] * 4
        lamson.wait_log("ran", "handler=judged", count=4)
        # And who comes later does not wait at all: it is not asked for a while.
        assert send(port, "judged", 30) == 250
        lines = lamson.log_lines()
    ran = [line.rpartition("handler=")[2] for line in lines if " ran " in line]
    assert ran[:10] == ["open"] * 10
    assert any("it passes" in line or "has no opinion" in line for line in lines)
