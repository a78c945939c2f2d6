from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lamson.smtp.envelope import Peer, QueueId
from lamson.smtp.reply import UNKNOWN_PARAMETER, Reply
from lamson_lmtp import grammar
from lamson_lmtp.events import MailFrom, RcptTo, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable


def refusal(parse: Callable[[bytes], object], arguments: bytes) -> Reply:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(arguments)
    return caught.value.reply


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (b"FROM:<a@b.example>", MailFrom("a@b.example")),
        (b"from:<a@B.Example>", MailFrom("a@b.example")),
        (b"FROM:  <a@b.example>  ", MailFrom("a@b.example")),
        (b"FROM:<>", MailFrom("")),
        (b"FROM:<> SIZE=12", MailFrom("", 12)),
        (b"FROM:<> BODY=8BITMIME  size=00012 smtputf8 ", MailFrom("", 12, True, True)),
        (b"FROM:<> BODY=7BIT", MailFrom("")),
        (b'FROM:<"a>b"@c.example>', MailFrom('"a>b"@c.example')),
        (b"FROM:<@x.example:a@b.example>", MailFrom("a@b.example")),
        ("FROM:<é@b.example> SMTPUTF8".encode(), MailFrom("é@b.example", smtputf8=True)),
        ("FROM:<é@b.example>".encode(), MailFrom("é@b.example")),
    ],
)
def test_mail(arguments: bytes, expected: MailFrom) -> None:
    assert grammar.parse_mail(arguments) == expected


def test_mail_carries_the_peer() -> None:
    peer = Peer(name="x")
    assert grammar.parse_mail(b"FROM:<>", peer).peer is peer


@pytest.mark.parametrize(
    ("arguments", "reply"),
    [
        (b"", grammar.MAIL_SYNTAX),
        (b"FROM:", grammar.MAIL_SYNTAX),
        (b"FROM: ", grammar.MAIL_SYNTAX),
        (b"FROM <a@b.example>", grammar.MAIL_SYNTAX),
        (b"FROM:<a@b.example>>", grammar.MAIL_SYNTAX),
        (b"FROM:<<a@b.example>", grammar.MAIL_SYNTAX),
        (b"FROM:<a@b.example>\tSIZE=1", grammar.MAIL_SYNTAX),
        (b"FROM:<a>", grammar.BAD_SENDER),
        (b"FROM:<a@b.example\n>", grammar.BAD_SENDER),
        (b"FROM:<\xe9@b.example>", grammar.BAD_SENDER),
        (b"FROM:<\xe9@b.example> SMTPUTF8", grammar.BAD_SENDER),
        (b"FROM:<> SIZE=+1", grammar.BAD_SIZE),
        (b"FROM:<> SIZE=\xb2", grammar.BAD_SIZE),
        (b"FROM:<> BODY", grammar.BAD_BODY),
        (b"FROM:<> SIZE=1 BODY=7BIT SIZE=2", grammar.TWICE),
        (b"FROM:<> SIZE=1\rBODY=7BIT", grammar.BAD_SIZE),
        (b"FROM:<> x", UNKNOWN_PARAMETER),
    ],
)
def test_wrong_mail(arguments: bytes, reply: Reply) -> None:
    assert refusal(grammar.parse_mail, arguments) == reply


def test_rcpt() -> None:
    assert grammar.parse_rcpt(b"TO:<a@b.example>") == RcptTo("a@b.example")
    assert grammar.parse_rcpt(b"to: <Postmaster> ") == RcptTo("postmaster")
    assert grammar.parse_rcpt("TO:<é@b.example>".encode()) == RcptTo("é@b.example")


@pytest.mark.parametrize(
    ("arguments", "reply"),
    [
        (b"", grammar.RCPT_SYNTAX),
        (b"TO:<a@b.example> \x00", UNKNOWN_PARAMETER),
        (b"TO:<>", grammar.BAD_RECIPIENT),
        (b"TO:<a@b.example", grammar.RCPT_SYNTAX),
        (b"TO:<\xe9@b.example>", grammar.BAD_RECIPIENT),
    ],
)
def test_wrong_rcpt(arguments: bytes, reply: Reply) -> None:
    assert refusal(grammar.parse_rcpt, arguments) == reply


@pytest.mark.parametrize("arguments", [b"x", b"x ", b"[192.0.2.1]", b"\xe9.example"])
def test_lhlo(arguments: bytes) -> None:
    grammar.parse_lhlo(arguments)


@pytest.mark.parametrize("arguments", [b"", b" ", b"a b", b"a\0", b"a\rb", b"a" * 256])
def test_wrong_lhlo(arguments: bytes) -> None:
    assert refusal(grammar.parse_lhlo, arguments) == grammar.LHLO_SYNTAX


def test_xforward() -> None:
    attributes = grammar.parse_xforward(b"NAME=a+2Eb ADDR=IPV6:::1  ident=4Qx port=[UNAVAILABLE]")
    assert attributes == {"NAME": "a.b", "ADDR": "::1", "IDENT": "4Qx", "PORT": ""}
    peer = grammar.make_peer(attributes)
    assert peer == Peer(name="a.b", addr="::1", ident=QueueId("4Qx"))
    assert isinstance(peer.ident, QueueId)


@pytest.mark.parametrize(
    ("arguments", "reply"),
    [
        (b"  ", grammar.XFORWARD_SYNTAX),
        (b"NAME", grammar.XFORWARD_SYNTAX),
        (b"=x", grammar.BAD_ATTRIBUTE),
        (b"LOGIN=x", grammar.BAD_ATTRIBUTE),
    ],
)
def test_wrong_xforward(arguments: bytes, reply: Reply) -> None:
    assert refusal(grammar.parse_xforward, arguments) == reply


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"a=b", "a=b"),
        (b"a+2", "a+2"),
        (b"a+00+20+C3+BC", "a???"),
        (b"\xe9", "?"),
        (b"a" * 256, "a" * 255),
        (b"+2B" * 2000, "+" * 255),
        (b"a+20IDENT=4jcM2l6H2ZzKfZC", "a?IDENT=4jcM2l6H2ZzKfZC"),
    ],
)
def test_no_helo_costs_the_queue_id(value: bytes, told: str) -> None:
    """A stranger chooses it, Postfix tells it in one line with IDENT, which notes are bound to."""
    found = grammar.parse_xforward(b"PROTO=ESMTP HELO=" + value + b" IDENT=4Qx")
    assert found == {"PROTO": "ESMTP", "HELO": told, "IDENT": "4Qx"}
    assert grammar.parse_xforward(b"IDENT=" + b"a" * 256) == {"IDENT": ""}


@pytest.mark.parametrize(
    "path", [b'<"a\x01b"@x.test>', b"<@x.test>", b"<" + b"a" * 600 + b"@x.test>", b"<a b@x.test>"]
)
def test_a_sender_that_postfix_took_is_not_refused(path: bytes) -> None:
    """It would bounce to whom it names. Somebody else than Postfix is told what is wrong."""
    assert refusal(grammar.parse_mail, b"FROM:" + path) == grammar.BAD_SENDER
    event = grammar.parse_mail(b"FROM:" + path + b" SIZE=5", Peer(name="x"))
    assert (event.sender, event.unusable, event.size) == ("", path, 5)


@pytest.mark.parametrize(
    "arguments",
    [
        b"FROM:<" + b'"' * 4000,
        b"FROM:<" + b'"\\' * 2000,
        b"FROM:<" + b'""' * 2000,
        b"FROM:<" + b'"a"' * 1300 + b"@",
        b"FROM:" + b" " * 4000,
        b"FROM:<>" + b" " * 4000 + b"\0",
        b"FROM:<" + b"<" * 4000,
    ],
)
def test_time_is_linear(arguments: bytes) -> None:
    started = time.process_time()
    for _ in range(20):
        refusal(grammar.parse_mail, arguments)
    assert time.process_time() - started < 1
