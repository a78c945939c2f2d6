"""Real mail, as it was sent: nothing raises, nothing takes long, and we read what others read.

`sources` says where it comes from; where none is, there is nothing to read.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient
from tests.corpora import sources
from tests.corpora.agreement import FIELDS, measure, told
from tests.hostile import questions

if TYPE_CHECKING:
    from pathlib import Path

MAILS = list(sources.messages())
ENVELOPE = Envelope("sender@example.com", ("list@test.com",))

pytestmark = [
    pytest.mark.skipif(not MAILS, reason="no real mail is there: see tests/corpora/sources.py"),
    pytest.mark.timeout(300),
]


def test_nothing_raises_and_nothing_takes_long() -> None:
    slow = []
    for path, content in MAILS:
        message = MailRequest(content, ENVELOPE, Recipient("list@test.com"))
        began = time.process_time()
        for ask in questions(message).values():
            ask()
        spent = time.process_time() - began
        if spent > 2 + len(content) / 20_000:  # seconds; most take a few milliseconds
            slow.append((path, spent))
    assert not slow


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_we_read_what_others_read() -> None:
    """Where two others agree with one another, so do we with two of them, but for a few.

    Of these few most are read better here: charsets that others do not know, multiparts whose
    boundary is not said right.
    """
    pytest.importorskip("mailparser")
    pytest.importorskip("fast_mail_parser")
    found = measure()
    print(told(found))
    for field in FIELDS:
        assert found.agree[field] >= 0.9 * found.others[field], told(found)
    assert found.found_empty <= 0.002 * found.messages, told(found)
    assert found.left_out <= 0.005 * found.messages, told(found)
    assert found.no_author <= 0.01 * found.messages, told(found)


def test_sources_are_told_of_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.eml").write_bytes(b"Subject: x\n\n")
    monkeypatch.setenv("LAMSON_CORPORA", str(tmp_path))
    assert list(sources.messages()) == [(f"{tmp_path.name}/one.eml", b"Subject: x\n\n")]
