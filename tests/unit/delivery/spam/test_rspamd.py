"""rspamd as it answers, and as it should not; the real one is asked in tests/judges."""

from __future__ import annotations

import json
import time

import pytest

from lamson.delivery.spam.opinion import Opinion
from lamson.delivery.spam.rspamd import Rspamd
from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Peer, QueueId, Recipient
from tests.unit.answering_server import AnsweringServer, saying
from tests.unit.support import make_message


def answer(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def verdict(action: str, **more: object) -> bytes:
    return answer(json.dumps({"action": action, "score": 7.5, "required_score": 15.0, **more}))


def ask(said: bytes, message: MailRequest | None = None, max_size: int = 1000) -> Opinion | None:
    server = AnsweringServer(saying(said))
    try:
        judge = Rspamd("127.0.0.1", server.port, max_size=max_size)
        return judge.opinion(message or make_message(), time.monotonic() + 30)
    finally:
        server.close()


@pytest.mark.parametrize(
    ("action", "is_spam"),
    [
        ("reject", True),
        ("add header", True),
        ("rewrite subject", True),
        ("no action", False),
        ("greylist", False),
    ],
)
def test_what_it_would_do_is_its_opinion(action: str, is_spam: bool) -> None:
    assert ask(verdict(action)) == Opinion(is_spam, f"rspamd: {action}, 7.5 of 15.0")


def test_what_it_leaves_alone_it_says_nothing_of() -> None:
    assert ask(verdict("no action", is_skipped=True)) is None
    assert ask(verdict("soft reject")) is None
    assert ask(verdict("something new")) is None
    assert ask(verdict("reject", is_skipped=True)) is not None  # as of GTUBE


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"garbage",
        b"HTTP/1.1 200 OK\r\n\r\n",
        answer("[]"),
        answer("{}"),
        answer('{"error":"busy"}', "503 busy"),
        answer("{" * 100_000),
        answer('{"action": ["reject"]')[:-5],
        b"SPAMD/1.1 0 EX_OK\r\n\r\n",
    ],
)
def test_what_is_no_answer_raises(said: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        ask(said)


def test_a_large_message_is_not_shown() -> None:
    assert ask(verdict("reject"), make_message(b"x" * 1001)) is None


def test_it_is_told_of_the_envelope() -> None:
    server = AnsweringServer(saying(verdict("no action")))
    peer = Peer("mx.example", "192.0.2.1", helo="evil\r\nX: y", ident=QueueId("4Qz"))
    envelope = Envelope("zed@example.com", ("a@test.com", "b@test.com"), peer)
    message = MailRequest(b"From: z@x.example\r\n\r\nHi.\r\n", envelope, Recipient("a@test.com"))
    Rspamd("127.0.0.1", server.port, max_size=1000).opinion(message, time.monotonic() + 30)
    server.close()
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert body == message.raw
    first, *fields = head.decode().split("\r\n")
    assert first == "POST /checkv2 HTTP/1.0"
    assert fields == [
        f"Host: 127.0.0.1:{server.port}",
        "Connection: close",
        f"Content-Length: {len(body)}",
        "From: zed@example.com",
        "Rcpt: a@test.com",
        "Rcpt: b@test.com",
        "IP: 192.0.2.1",
        "Helo: evilX: y",
        "Hostname: mx.example",
        "Queue-Id: 4Qz",
    ]
