"""The LMTP protocol under fire: it never raises, never holds much, and does not mind the cuts."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamson.smtp import reply as replies
from lamson_lmtp import grammar
from lamson_lmtp.connection import Connection, Limits
from lamson_lmtp.data import IncomingData
from lamson_lmtp.events import (
    CLOSED,
    DATA_BEGINS,
    NEED_DATA,
    PAUSED,
    MailFrom,
    Message,
    RcptTo,
    RemoteProtocolError,
    Signal,
)
from tests.unit.lmtp.fakes import FakeDispatcher, converse, make_session

LIMITS = Limits(max_line=80, max_size=60, max_recipients=3, max_errors=8)
quickly = settings(
    max_examples=3 * settings().max_examples,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)

LINES = [
    b"LHLO x\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"MAIL FROM:<a@b.example> SIZE=50 BODY=8BITMIME SMTPUTF8\r\n",
    b"MAIL FROM:<> SIZE=61\r\n",
    b"RCPT TO:<c@d.example>\r\n",
    b"RCPT TO:<nobody@d.example>\r\n",
    "RCPT TO:<é@d.example>\r\n".encode(),
    b"DATA\r\n",
    b"hello\r\n",
    b".\r\n",
    b"..\r\n",
    b"\r\n.\r\n",
    b"\n.\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"XFORWARD NAME=x ADDR=IPV6:::1 IDENT=4Qx\r\n",
    b"VRFY x\r\n",
    b"HELP\r\n",
    b"EHLO x\r\n",
    b"x" * 100,
    b"QUIT\r\n",
    b"\r",
    b"\n",
    b".",
    b"\0",
]
# Mostly sense, so that the deeper states are reached; some of it cut, some noise in between.
lines = st.sampled_from(LINES)
pieces = st.one_of(lines, lines, lines, st.binary(max_size=8))
# Most conversations begin as they should.
begins = st.sampled_from([b"", b"".join(LINES[0:2]), b"".join([LINES[0], *LINES[1:5:3], LINES[7]])])
conversations = st.builds(lambda begin, rest: begin + b"".join(rest), begins, st.lists(pieces))
cuts = st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=20)


def cut_up(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks: list[bytes] = []
    at = 0
    while at < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[at : at + size])
        at += size
    return chunks


def observe(chunks: list[bytes]) -> tuple[list[object], bytes]:
    """The events and the output of a connection whose events are answered as they come."""
    connection = Connection(LIMITS, "mail.example")
    events: list[object] = []
    out = connection.data_to_send()
    for chunk in chunks:
        connection.receive_data(chunk)
        drain(connection, events)
        assert connection.unread < LIMITS.max_line
        assert connection.buffered <= LIMITS.max_size
        out += connection.data_to_send()
    connection.receive_eof()
    drain(connection, events)
    assert connection.next_event() is CLOSED
    return events, out + connection.data_to_send()


def drain(connection: Connection, events: list[object]) -> None:
    while (event := connection.next_event()) not in (NEED_DATA, CLOSED):
        if event is PAUSED:
            connection.reply(replies.OK)
            continue
        events.append(event)
        if isinstance(event, RcptTo):
            is_known = not event.recipient.startswith("nobody")
            connection.reply(replies.RECIPIENT_OK if is_known else replies.NO_SUCH_RECIPIENT)
        elif isinstance(event, MailFrom):
            connection.reply(replies.SENDER_OK)
        elif event is DATA_BEGINS:
            connection.reply(replies.START_DATA)
        else:
            assert isinstance(event, Signal) or len(getattr(event, "content", b"")) <= 60


@quickly
@given(conversations, cuts)
def test_the_cuts_make_no_difference(data: bytes, sizes: list[int]) -> None:
    whole = observe([data])
    assert observe(cut_up(data, [1])) == whole
    assert observe(cut_up(data, sizes)) == whole


@quickly
@given(st.lists(st.binary(max_size=200)))
def test_noise_is_answered(chunks: list[bytes]) -> None:
    observe(chunks)


@quickly
@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"x", b"\0"])), cuts)
def test_content_survives_the_way(parts: list[bytes], sizes: list[int]) -> None:
    """Stuffed as RFC 5321 section 4.5.2 says and received again, it is what it was."""
    content = b"".join(parts) + b"\r\n"
    stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
    received = IncomingData(1000)
    rest = None
    for chunk in cut_up(stuffed + b"NOOP\r\n.\r\n", sizes):
        if rest is None:
            rest = received.receive(chunk)
        else:
            rest += chunk
    assert received.take() == content
    assert rest == b"NOOP\r\n.\r\n"


@quickly
@given(conversations, cuts)
def test_a_session_answers_each_line(data: bytes, sizes: list[int]) -> None:
    dispatcher = FakeDispatcher()
    session = make_session(dispatcher, limits=LIMITS)
    whole = converse(session, data)
    other = make_session(FakeDispatcher(), limits=LIMITS)
    assert b"".join(converse(other, chunk) for chunk in [b"", *cut_up(data, sizes)]) == whole
    assert all(
        line[:3].isdigit() and line[3:4] in b" -" and line.isascii()
        for line in whole.split(b"\r\n")[:-1]
    )
    replies_after_data = sum(len(message.envelope.recipients) for message in dispatcher.messages)
    assert whole.count(b"250 2.0.0") >= replies_after_data


@quickly
@given(st.binary(max_size=100))
def test_the_grammar_refuses_or_understands(arguments: bytes) -> None:
    for parse in (
        grammar.parse_mail,
        grammar.parse_lhlo,
        grammar.parse_xforward,
        grammar.parse_rcpt,
        lambda octets: grammar.parse_mail(b"FROM:<" + octets + b">"),
        lambda octets: grammar.parse_mail(b"FROM:<> " + octets),
        lambda octets: grammar.parse_rcpt(b"TO:<" + octets + b"@d.example>"),
    ):
        try:
            result = parse(arguments)
        except RemoteProtocolError:
            continue
        address = getattr(result, "sender", "") or getattr(result, "recipient", "")
        assert not set(address) & set("\r\n\0")


def test_the_fuzz_reaches_messages() -> None:
    events, _ = observe([b"".join([LINES[0], LINES[1], LINES[4], LINES[7], b"x\r\n.\r\n"])])
    assert Message(b"x\r\n") in events
