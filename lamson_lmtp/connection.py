"""One LMTP connection as a state machine: bytes in, events out, replies to bytes. No I/O.

For `session`, which asks `Connection.next_event` until it says NEED_DATA or PAUSED and answers each
event with `Connection.reply`; what is to be sent waits in `data_to_send`. Commands that need no
decision (LHLO, RSET, NOOP, VRFY, HELP, XFORWARD) and everything malformed are answered here.

Whatever the client sends, nothing is raised and memory stays bounded: a line that is too long and
content that is not wanted are swallowed as they come. Who speaks another protocol is sent away at
the first line that shows it: a web page can make its reader's browser post lines of LMTP to us.
`LocalProtocolError` is for our own mistakes.

Sources: RFC 2033 (LMTP), RFC 5321 (commands, transparency), RFC 2034 (enhanced status codes),
RFC 2920 (pipelining), RFC 3207 (STARTTLS), RFC 1870, 6152, 6531 (SIZE, 8BITMIME, SMTPUTF8),
Postfix's XFORWARD_README.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.smtp import reply as replies
from lamson.smtp.envelope import NOBODY
from lamson.smtp.reply import Reply
from lamson_lmtp import grammar
from lamson_lmtp.data import IncomingData
from lamson_lmtp.events import (
    ANSWERED,
    CLOSED,
    DATA_BEGINS,
    NEED_DATA,
    PAUSED,
    STARTTLS,
    Discarded,
    LocalProtocolError,
    Message,
    NotLmtp,
    RemoteProtocolError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson_lmtp.events import Event

# RFC 2033 section 4.2: without an accepted recipient DATA fails with this very code.
NO_RECIPIENTS = Reply(503, "5.5.1", "No valid recipients")
LHLO_FIRST = Reply(503, "5.5.1", "Send LHLO first")
NESTED = Reply(503, "5.5.1", "A transaction is open; finish it or send RSET")
MAIL_FIRST = Reply(503, "5.5.1", "Send MAIL first")
USE_LHLO = Reply(500, "5.5.1", "This is LMTP: use LHLO")  # RFC 2033 section 4.1
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors; closing the connection")
NOT_LMTP = Reply(421, "4.7.0", "This is LMTP, and that is not; closing the connection")
TLS_FIRST = Reply(530, "5.7.0", "Say STARTTLS first")  # RFC 3207 section 4
TLS_NOW = Reply(220, "2.0.0", "Ready to start TLS")
# RFC 9110 section 9, RFC 5789, and the first line of HTTP/2 (RFC 9113 section 3.4).
_HTTP = frozenset(b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PRI".split())
# Whatever the method is called: it may be a command of ours.
_HTTP_VERSION = re.compile(rb" HTTP/[0-9.]+\Z")
_SHOWN = 60  # octets of a line that is not LMTP
COMMANDS = Reply(214, "2.0.0", "LHLO XFORWARD MAIL RCPT DATA RSET NOOP VRFY HELP QUIT")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one client may ask of us: octets, and counts."""

    max_line: int = 4096  # octets of a command line, CRLF included
    max_size: int = 50 * 1024 * 1024  # octets of a message
    max_recipients: int = 1000  # of one message
    max_errors: int = 20  # wrong commands with no right one in between


class State:
    """What was agreed so far. ``commands`` is what the client may say, by verb."""

    __slots__ = ("commands", "in_transaction", "name")

    def __init__(self, name: str, *, in_transaction: bool = False) -> None:
        self.name = name
        self.in_transaction = in_transaction
        self.commands: dict[bytes, Callable[[Connection, bytes], Event]] = {}

    def __repr__(self) -> str:
        return self.name


NEW = State("NEW")  # no LHLO yet
PLAIN = State("PLAIN")  # LHLO was said, but TLS has to come first
HANDSHAKE = State("HANDSHAKE")  # TLS is being negotiated
READY = State("READY")  # LHLO was said; no transaction
MAIL = State("MAIL", in_transaction=True)  # a sender, no recipient yet
RCPT = State("RCPT", in_transaction=True)  # at least one recipient
DATA = State("DATA", in_transaction=True)  # the content is coming
REPLYING = State("REPLYING", in_transaction=True)  # the content was handed over
GONE = State("GONE")  # nothing more is looked at


class Connection:
    """The server's side of one LMTP connection.

    ``hostname`` is what we call ourselves in the greeting. With ``wants_tls`` STARTTLS is offered,
    and there are no transactions before it. Not thread-safe: for one event loop.
    """

    __slots__ = (
        "_awaited",
        "_buffer",
        "_content",
        "_eof",
        "_errors",
        "_lhlo",
        "_limits",
        "_max_line",
        "_out",
        "_peer",
        "_position",
        "_ready",
        "_recipients",
        "_swallowing",
        "_waiting",
        "_wants_tls",
        "_xforward",
        "has_more",
        "state",
    )

    def __init__(self, limits: Limits, hostname: str, *, wants_tls: bool = False) -> None:
        self._limits = limits
        self._max_line = limits.max_line
        self._lhlo = _lhlo_reply(hostname, limits.max_size, offers_tls=wants_tls)
        self._wants_tls = wants_tls
        self._ready = PLAIN if wants_tls else READY  # between transactions
        self._out = bytes(Reply(220, "", f"{hostname} LMTP ready"))
        self.state = NEW  # this and has_more are to be read, not set, by others
        self.has_more = False  # where not, next_event gives NEED_DATA (or PAUSED)
        self._buffer = b""  # received, from _position on not looked at yet
        self._position = 0
        self._swallowing = False  # the rest of a line that is too long
        self._eof = False
        self._errors = 0
        self._waiting: State | None = None  # for a reply: the state if it is positive
        self._xforward: dict[str, str] = {}
        self._peer = NOBODY
        self._recipients = 0
        self._awaited = 0  # replies after the data
        self._content = _NO_CONTENT  # of the message that is coming in

    @property
    def unread(self) -> int:
        """Octets received and not looked at yet."""
        return len(self._buffer) - self._position

    @property
    def buffered(self) -> int:
        """Octets of content held for the message that is coming in."""
        return self._content.size

    def receive_data(self, data: bytes) -> None:
        """Take what the client sent. Ignored once the connection is closed."""
        if self.state is GONE:
            return
        if self._position == len(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[self._position :] + data
        self._position = 0
        self.has_more = True

    def receive_eof(self) -> None:
        """The client will send nothing more. A message cut short is no message."""
        self._eof = self.has_more = True

    def data_to_send(self) -> bytes:
        """What is to be sent now; b"" when there is nothing."""
        data, self._out = self._out, b""
        return data

    def next_event(self) -> Event:
        """Look at one more line, or at the content. At most one line is used up in a call."""
        if self._waiting is not None:
            raise LocalProtocolError(f"no reply was given that leads to {self._waiting}")
        commands = self.state.commands
        if not commands:
            if self.state is DATA:
                return self._next_content()
            return PAUSED if self.state in (REPLYING, HANDSHAKE) else CLOSED
        buffer, start = self._buffer, self._position
        end = buffer.find(b"\n", start)
        if end < 0:
            return self._part_of_line()
        self._position = end + 1
        self.has_more = end + 1 < len(buffer) or self._eof
        if end - start >= self._max_line or self._swallowing:
            self._swallowing = False
            if self.state is NEW:
                return self._hang_up(buffer[start:end])
            return self._wrong(replies.LINE_TOO_LONG)
        if end == start or buffer[end - 1] != 13:
            return self._strange(buffer[start:end], replies.BARE_LINE_END)
        verb, _, arguments = buffer[start : end - 1].partition(b" ")
        command = commands.get(verb) or commands.get(verb.upper())
        if command is None:
            reply = replies.UNKNOWN_COMMAND if verb.isalpha() else replies.SYNTAX_ERROR
            return self._strange(buffer[start : end - 1], reply)
        if self.state is NEW and _HTTP_VERSION.search(arguments):
            return self._hang_up(buffer[start : end - 1])
        try:
            return command(self, arguments)
        except RemoteProtocolError as error:
            return self._wrong(error.reply, counts=error.counts)

    def reply(self, reply: Reply) -> None:
        """Answer the last event; after `Message` once for each recipient, in their order.

        Raises LocalProtocolError where no reply is due.
        """
        waiting = self._waiting
        if waiting is not None:
            self._waiting = None
            if reply.code < 400:
                self.state = waiting
                if waiting is RCPT:
                    self._recipients += 1
                elif waiting is DATA:
                    self._content = IncomingData(self._limits.max_size)
        elif self.state is REPLYING:
            self._awaited -= 1
            if not self._awaited:
                self._end_transaction()
        else:
            raise LocalProtocolError(f"nothing waits for the reply {reply}")
        self._out += reply.wire

    def fail(self, reply: Reply) -> None:
        """Answer all that waits for a reply, if anything does, with ``reply``."""
        while self._waiting is not None or self.state is REPLYING:
            self.reply(reply)

    def discard(self, reply: Reply) -> None:
        """Throw away the content that is coming in, held or not; each recipient is told ``reply``.

        Raises LocalProtocolError where no content is coming in.
        """
        if self.state is not DATA:
            raise LocalProtocolError(f"there is no content to discard in state {self.state}")
        self._content.refuse(reply)

    def close(self, reply: Reply) -> None:
        """Say ``reply`` (421, see RFC 5321 section 3.8) and look at nothing more."""
        if self.state is not GONE:
            self._out += bytes(reply)
            self._shut()

    def secured(self, hostname: str) -> None:
        """TLS has been negotiated, after STARTTLS: begin anew (RFC 3207 section 4.2).

        Raises LocalProtocolError where that was not asked for.
        """
        if self.state is not HANDSHAKE:
            raise LocalProtocolError(f"nobody asked for TLS in state {self.state}")
        self._wants_tls = False
        self._lhlo = _lhlo_reply(hostname, self._limits.max_size, offers_tls=False)
        self._ready = READY
        self.state = NEW

    # Commands. Each is given what stands behind the verb and gives an event.

    def _on_lhlo(self, arguments: bytes) -> Event:
        grammar.parse_lhlo(arguments)
        self._end_transaction()  # RFC 5321 section 4.1.4: as if RSET had been said
        self.state = self._ready
        return self._answer(self._lhlo)

    def _on_mail(self, arguments: bytes) -> Event:
        event = grammar.parse_mail(arguments, self._peer)
        if event.size > self._limits.max_size:
            return self._answer(bytes(replies.TOO_BIG))  # RFC 1870 section 6.1
        self._waiting = MAIL
        self._errors = 0
        return event

    def _on_rcpt(self, arguments: bytes) -> Event:
        event = grammar.parse_rcpt(arguments)
        if self._recipients >= self._limits.max_recipients:
            return self._answer(bytes(replies.TOO_MANY_RECIPIENTS))  # RFC 5321 4.5.3.1.10
        self._waiting = RCPT
        self._errors = 0
        return event

    def _on_data(self, arguments: bytes) -> Event:
        _expect_nothing(arguments)
        self._waiting = DATA
        self._errors = 0
        return DATA_BEGINS

    def _on_xforward(self, arguments: bytes) -> Event:
        self._xforward.update(grammar.parse_xforward(arguments))
        self._peer = grammar.make_peer(self._xforward)
        return self._answer(_OK)

    def _on_rset(self, arguments: bytes) -> Event:
        _expect_nothing(arguments)
        self._end_transaction()
        return self._answer(_OK)

    def _on_starttls(self, arguments: bytes) -> Event:
        if not self._wants_tls:
            raise RemoteProtocolError(replies.NOT_IMPLEMENTED)
        _expect_nothing(arguments)
        self._end_transaction()
        self._out += bytes(TLS_NOW)
        self.state = HANDSHAKE
        # What came behind the command was not said by whoever TLS will be spoken with: it is
        # forgotten, as is all that was said before (RFC 3207 section 4.2).
        self._buffer, self._position = b"", 0
        self.has_more = False
        self._errors = 0
        return STARTTLS

    def _on_noop(self, _arguments: bytes) -> Event:
        return self._answer(_OK)

    def _on_vrfy(self, arguments: bytes) -> Event:
        if not arguments.strip():
            raise RemoteProtocolError(replies.BAD_ARGUMENTS)
        return self._answer(bytes(replies.CANNOT_VERIFY))

    def _on_help(self, _arguments: bytes) -> Event:
        return self._answer(bytes(COMMANDS))

    def _on_quit(self, arguments: bytes) -> Event:
        _expect_nothing(arguments)
        self.close(replies.BYE)
        return CLOSED

    # What becomes of a line.

    def _answer(self, encoded: bytes) -> Event:
        self._errors = 0
        self._out += encoded
        return ANSWERED

    def _wrong(self, reply: Reply, *, counts: bool = True) -> Event:
        self._errors += counts
        if self._errors >= self._limits.max_errors:
            self.close(TOO_MANY_ERRORS)
            return CLOSED
        self._out += bytes(reply)
        return ANSWERED

    def _strange(self, line: bytes, reply: Reply) -> Event:
        """A line that is no command, or does not end like one: perhaps it is of another protocol.

        The first one has to be a command (a body would be taken for commands after the header);
        later ones may be mistakes, but for those that HTTP begins with and is full of.
        """
        verb = line.partition(b" ")[0].upper()
        if verb not in self.state.commands and (self.state is NEW or verb in _HTTP or b":" in verb):
            return self._hang_up(line)
        return self._wrong(reply)

    def _hang_up(self, line: bytes) -> Event:
        self.close(NOT_LMTP)
        self.has_more = True  # CLOSED
        return NotLmtp(line[:_SHOWN])

    def _part_of_line(self) -> Event:
        if self._eof:
            self._shut()
            return CLOSED
        self.has_more = False
        if self.unread >= self._max_line:
            if self.state is NEW:
                return self._hang_up(self._buffer[self._position :])
            self._swallowing = True
        if self._swallowing:
            self._buffer, self._position = b"", 0
        return NEED_DATA

    def _shut(self) -> None:
        self._end_transaction()
        self.state = GONE
        self._waiting = None
        self._buffer, self._position = b"", 0

    def _end_transaction(self) -> None:
        if self.state is not NEW:
            self.state = self._ready
        self._recipients = self._awaited = 0
        self._content = _NO_CONTENT
        if self._xforward:  # Postfix sends it anew for each message
            self._xforward = {}
            self._peer = NOBODY

    def _next_content(self) -> Event:
        chunk = self._buffer[self._position :] if self._position else self._buffer
        self._buffer, self._position = b"", 0
        content = self._content
        rest = content.receive(chunk)
        if rest is None:
            if self._eof:
                self._shut()
                return CLOSED
            self.has_more = False
            return NEED_DATA
        self._buffer = rest
        self.has_more = bool(rest) or self._eof
        if content.refusal is not None:
            reply = content.refusal
            self._out += bytes(reply) * self._recipients  # RFC 2033 section 4.2
            self._end_transaction()
            return Discarded(reply)
        self.state = REPLYING
        self._awaited = self._recipients
        self._content = _NO_CONTENT
        return Message(content.take())


@functools.lru_cache(maxsize=16)
def _lhlo_reply(hostname: str, max_size: int, *, offers_tls: bool) -> bytes:
    keywords = (
        hostname,
        *(["STARTTLS"] if offers_tls else []),
        "PIPELINING",
        "ENHANCEDSTATUSCODES",
        "8BITMIME",
        "SMTPUTF8",
        f"SIZE {max_size}",
        "XFORWARD " + " ".join(grammar.XFORWARD_ATTRIBUTES),
    )
    return bytes(Reply(250, "", "\n".join(keywords)))


def _expect_nothing(arguments: bytes) -> None:
    # RFC 5321 section 4.3.2: 501 for an argument; section 4.1.1: trailing white space is tolerated.
    if arguments and not arguments.isspace():
        raise RemoteProtocolError(replies.BAD_ARGUMENTS)


def _refusing(reply: Reply, *, counts: bool = True) -> Callable[[Connection, bytes], Event]:
    def refuse(_connection: Connection, _arguments: bytes) -> Event:
        raise RemoteProtocolError(reply, counts=counts)

    return refuse


_OK = bytes(replies.OK)
_NO_CONTENT = IncomingData(0)

_ALWAYS = {
    b"LHLO": Connection._on_lhlo,
    b"RSET": Connection._on_rset,
    b"NOOP": Connection._on_noop,
    b"VRFY": Connection._on_vrfy,
    b"HELP": Connection._on_help,
    b"QUIT": Connection._on_quit,
    b"HELO": _refusing(USE_LHLO),
    b"EHLO": _refusing(USE_LHLO),
    **{verb: _refusing(replies.NOT_IMPLEMENTED) for verb in (b"EXPN", b"ETRN", b"AUTH", b"BDAT")},
    b"STARTTLS": Connection._on_starttls,
}
_TRANSACTION = (b"XFORWARD", b"MAIL", b"RCPT", b"DATA")

NEW.commands = {**_ALWAYS, **dict.fromkeys(_TRANSACTION, _refusing(LHLO_FIRST))}
PLAIN.commands = {**_ALWAYS, **dict.fromkeys(_TRANSACTION, _refusing(TLS_FIRST))}
READY.commands = {
    **_ALWAYS,
    b"XFORWARD": Connection._on_xforward,
    b"MAIL": Connection._on_mail,
    # Pipelined behind a MAIL that was refused these come by the hundred (RFC 2920 section 3.1).
    b"RCPT": _refusing(MAIL_FIRST, counts=False),
    b"DATA": _refusing(MAIL_FIRST, counts=False),
}
MAIL.commands = {
    **_ALWAYS,
    b"XFORWARD": _refusing(NESTED),  # XFORWARD_README: not inside a transaction
    b"MAIL": _refusing(NESTED),
    b"RCPT": Connection._on_rcpt,
    b"DATA": _refusing(NO_RECIPIENTS, counts=False),
}
RCPT.commands = {**MAIL.commands, b"DATA": Connection._on_data}
