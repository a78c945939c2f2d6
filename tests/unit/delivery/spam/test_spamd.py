"""SpamAssassin's spamd as it answers, and as it should not; the real one is in tests/judges."""

from __future__ import annotations

import time

import pytest

from lamson.delivery.spam.opinion import Opinion
from lamson.delivery.spam.spamd import Spamd
from tests.unit.answering_server import AnsweringServer, saying
from tests.unit.support import make_message


def ask(said: bytes, content: bytes = b"From: z@e.example\r\n\r\nbody\r\n") -> Opinion | None:
    server = AnsweringServer(saying(said))
    try:
        judge = Spamd("127.0.0.1", server.port, max_size=1000)
        found = judge.opinion(make_message(content), time.monotonic() + 30)
        for asked in server.asked:
            head = b"CHECK SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(content)
            assert (head + content).startswith(asked[: len(head)])
        return found
    finally:
        server.close()


@pytest.mark.parametrize(
    ("line", "opinion"),
    [
        (b"Spam: True ; 1000.0 / 5.0", Opinion(True, "SpamAssassin: 1000.0 of 5.0")),
        (b"Spam: False ; -2.1 / 5.0", Opinion(False, "SpamAssassin: -2.1 of 5.0")),
        (b"spam: Yes; 7 / 5", Opinion(True, "SpamAssassin: 7 of 5")),
    ],
)
def test_its_verdict(line: bytes, opinion: Opinion) -> None:
    assert ask(b"SPAMD/1.1 0 EX_OK\r\nContent-length: 2\r\n" + line + b"\r\n\r\n") == opinion


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"garbage",
        b"SPAMD/1.1 0 EX_OK\r\n\r\n",
        b"SPAMD/1.0 76 EX_PROTOCOL Bad header line\r\n\r\n",
        b"SPAMD/1.1 75 EX_TEMPFAIL\r\nSpam: True ; 9.0 / 5.0\r\n\r\n",
        b"SPAMD/1.1 0 EX_OK\r\nSpam: perhaps ; 9.0 / 5.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSpam: True ; 9.0 / 5.0\r\n\r\n",
    ],
)
def test_what_is_no_answer_raises(said: bytes) -> None:
    with pytest.raises(ValueError, match="it answers"):
        ask(said)


def test_a_large_message_is_not_shown() -> None:
    assert ask(b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 9 / 5\r\n\r\n", b"x" * 1001) is None
