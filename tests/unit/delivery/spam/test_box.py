"""Where spam is kept: what is old goes when room is needed, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.delivery.job import Job
from lamson.delivery.spam.box import LOOK, SpamBox
from lamson.smtp.reply import SMTPError
from lamson.storage.maildir import Maildir
from lamson.storage.undeliverable import read
from tests.unit.support import make_message

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400.0


def job(body: bytes) -> Job:
    return Job(make_message(b"From: zed@example.com\r\n\r\n" + body), [], None)


def test_what_is_kept_tells_why_and_where_its_author_stood(tmp_path: Path) -> None:
    box = SpamBox(Maildir(tmp_path / "spam"), days=30)
    box.keep(job(b"Buy.\r\n"), "spam: because", "app.handlers START")
    (key,) = box.queue.keys()
    stored = box.queue.get(key)
    assert stored is not None
    kept = read(stored)
    assert (kept.reason, kept.state) == ("spam: because", "app.handlers START")
    assert kept.content == b"From: zed@example.com\r\n\r\nBuy.\r\n"


def test_what_is_old_goes_for_what_is_new(tmp_path: Path) -> None:
    now = 0.0
    box = SpamBox(
        Maildir(tmp_path / "spam", quota=2 * 4096), days=30, clock=lambda: box_time(box) + now
    )
    box.keep(job(b"one\r\n"), "spam", "")
    box.keep(job(b"two\r\n"), "spam", "")
    with pytest.raises(SMTPError) as refused:
        box.keep(job(b"three\r\n"), "spam", "")
    assert refused.value.reply.code == 451
    assert box.queue.count() == 2
    now = 31 * DAY
    box.keep(job(b"three\r\n"), "spam", "")
    assert box.queue.count() == 1
    box.keep(job(b"four\r\n"), "spam", "")
    with pytest.raises(SMTPError):  # looked for old ones just now
        box.keep(job(b"five\r\n"), "spam", "")
    now += LOOK
    box.keep(job(b"five\r\n"), "spam", "")


def box_time(box: SpamBox) -> float:
    """The time at which the first message was put in."""
    return float(box.queue.keys()[0].partition(".")[0])
