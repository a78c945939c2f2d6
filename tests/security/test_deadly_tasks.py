"""What runs by time and ends its worker, again and again, is put aside; the mail goes on."""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING

import pytest

from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SETTINGS = """
from lamson.settings import Settings, Submission

settings = Settings(
    submission=Submission("127.0.0.1:1"),
    database="sqlite:///run/lamson.db",
    handlers=["handlers"],
    route_defaults={"host": r"test\\.com"},
    metadata=None,
)
"""
HANDLERS = """
import os, signal
from lamson import MailRequest, SMTPError, every, route, stateless

@route("(user)@(host)", user="[a-z]+")
@stateless
def REFUSE(message: MailRequest, user: str, host: str) -> None:
    raise SMTPError(550, "5.7.1", "handled")

@every("1 second")
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def answers(service: LamsonService) -> bool:
    """Whether a mail is handled, by a worker that may be new."""
    try:
        with smtplib.LMTP("127.0.0.1", service.port) as client:
            client.sendmail("zed@example.com", ["joe@test.com"], "Subject: x\r\n\r\nx\r\n")
    except smtplib.SMTPDataError as error:
        return "5.7.1 handled" in str(error.smtp_error)
    except (OSError, smtplib.SMTPException):
        return False
    return False


@pytest.mark.usefixtures("_unmeasured")
def test_a_schedule_that_ends_its_worker_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(SETTINGS)
    (tmp_path / "handlers.py").write_text(HANDLERS)
    service = LamsonService(tmp_path)
    service.command("syncdb")
    with service:
        wait_for(
            lambda: "put aside  failed 1 times: it ended 5 worker" in service.command("tasks"),
            "the schedule to be put aside",
            timeout=120,
        )
        assert "put aside" in service.command("schedule")
        wait_for(lambda: answers(service), "mail to be handled")
        deaths = len(service.log_lines("worker", "ended"))
        assert answers(service)
        assert len(service.log_lines("worker", "ended")) == deaths
