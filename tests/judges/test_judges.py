"""What SpamAssassin and rspamd themselves say, and that we understand it."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from lamson.delivery.spam.rspamd import Rspamd
from lamson.delivery.spam.spamd import Spamd
from tests.judges.servers import GTUBE, run_rspamd, run_spamd
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.delivery.spam.opinion import Judge, Opinion

pytestmark = pytest.mark.slow


@pytest.fixture(params=["spamd", "rspamd"])
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed (Debian's package of that name)")
    if request.param == "spamd":
        with run_spamd() as port:
            yield Spamd("127.0.0.1", port, max_size=1 << 20)
    else:
        with run_rspamd() as port:
            yield Rspamd("127.0.0.1", port, max_size=1 << 20)


def ask(judge: Judge, body: str, *fields: str) -> Opinion:
    head = ("From: zed@example.com", "To: list@test.com", "Subject: Hello", *fields)
    content = "".join(f"{line}\r\n" for line in (*head, "", body)).encode()
    found = judge.opinion(make_message(content), time.monotonic() + 60)
    assert found is not None
    return found


def test_mail_and_spam(judge: Judge) -> None:
    date, id = "Date: Sun, 29 Nov 2026 09:00:00 +0000", "Message-ID: <1@example.com>"
    assert not ask(judge, "How are you?", date, id).is_spam
    spam = ask(judge, GTUBE)
    assert spam.is_spam
    assert " of " in spam.why
    large = ask(judge, "word " * 80_000, date, id)  # more than a socket takes at once
    assert not large.is_spam
    assert ask(judge, f"{GTUBE}\r\n" + "Grüße " * 100, "X-Octets: Grüße").is_spam
