"""One LMTP connection as a state machine: bytes in, events out, replies to bytes. No I/O.

For `session`, which asks `Connection.next_event` until it says NEED_DATA or PAUSED and answers each
event with `Connection.reply`; what is to be sent waits in `data_to_send`. Commands that need no
decision (LHLO, RSET, NOOP, VRFY, HELP, XFORWARD) and everything malformed are answered here.

Whatever the client sends, nothing is raised and memory stays bounded: a line that is too long and
content that is not wanted are swallowed as they come. `LocalProtocolError` is for our own mistakes.

Sources: RFC 2033 (LMTP), RFC 5321 (commands, transparency), RFC 2034 (enhanced status codes),
RFC 2920 (pipelining), RFC 1870, 6152, 6531 (SIZE, 8BITMIME, SMTPUTF8), Postfix's XFORWARD_README.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson import reply as replies
from lamson.envelope import NOBODY
from lamson.reply import Reply
from lamson_lmtp import grammar
from lamson_lmtp.content import Content
from lamson_lmtp.events import (
    ANSWERED,
    NEED_DATA,
    PAUSED,
    Closed,
    DataBegins,
    Discarded,
    LocalProtocolError,
    MailFrom,
    Message,
    RcptTo,
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
COMMANDS = Reply(214, "2.0.0", "LHLO XFORWARD MAIL RCPT DATA RSET NOOP VRFY HELP QUIT")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one client may ask of us: octets, and counts."""

    max_line: int = 4096  # octets of a command line, CRLF included
    max_size: int = 50 * 1024 * 1024  # octets of a message
    max_recipients: int = 1000  # of one message
    max_errors: int = 20  # wrong commands one after the other


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
READY = State("READY")  # LHLO was said; no transaction
MAIL = State("MAIL", in_transaction=True)  # a sender, no recipient yet
RCPT = State("RCPT", in_transaction=True)  # at least one recipient
DATA = State("DATA", in_transaction=True)  # the content is coming
REPLYING = State("REPLYING", in_transaction=True)  # the content was handed over
CLOSED = State("CLOSED")


class Connection:
    """The server's side of one LMTP connection.

    ``hostname`` is what we call ourselves in the greeting. Not thread-safe: for one event loop.
    """

    __slots__ = (
        "_awaited",
        "_buffer",
        "_content",
        "_eof",
        "_errors",
        "_lhlo",
        "_limits",
        "_out",
        "_peer",
        "_position",
        "_recipients",
        "_smtputf8",
        "_state",
        "_swallowing",
        "_waiting",
        "_xforward",
    )

    def __init__(self, limits: Limits, hostname: str) -> None:
        self._limits = limits
        self._lhlo = _lhlo_reply(hostname, limits.max_size)
        self._out = [bytes(Reply(220, "", f"{hostname} LMTP ready"))]
        self._state = NEW
        self._buffer = b""  # received, from _position on not looked at yet
        self._position = 0
        self._swallowing = False  # the rest of a line that is too long
        self._eof = False
        self._errors = 0
        self._waiting: MailFrom | RcptTo | DataBegins | None = None  # for a reply
        self._xforward: dict[str, str] = {}
        self._peer = NOBODY
        self._smtputf8 = False
        self._recipients = 0
        self._awaited = 0  # replies after the data
        self._content = _NO_CONTENT  # of the message that is coming in

    @property
    def state(self) -> State:
        return self._state

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
        if self._state is CLOSED:
            return
        if self._position == len(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[self._position :] + data
        self._position = 0

    def receive_eof(self) -> None:
        """The client will send nothing more. A message cut short is no message."""
        self._eof = True

    def data_to_send(self) -> bytes:
        """What is to be sent now; b"" when there is nothing."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def next_event(self) -> Event:
        """Look at one more line, or at the content. At most one line is used up in a call."""
        if self._waiting is not None:
            raise LocalProtocolError(f"{self._waiting} has no reply yet")
        if self._state is DATA:
            return self._next_content()
        if self._state is REPLYING:
            return PAUSED
        if self._state is CLOSED:
            return Closed()
        buffer, start = self._buffer, self._position
        end = buffer.find(b"\n", start)
        if end < 0:
            return self._part_of_line()
        self._position = end + 1
        if self._swallowing or end - start >= self._limits.max_line:
            self._swallowing = False
            return self._wrong(replies.LINE_TOO_LONG)
        if end == start or buffer[end - 1] != 13:
            return self._wrong(replies.BARE_LINE_END)
        verb, _, arguments = buffer[start : end - 1].partition(b" ")
        command = self._state.commands.get(verb) or self._state.commands.get(verb.upper())
        if command is None:
            return self._wrong(replies.UNKNOWN_COMMAND if verb.isalpha() else replies.SYNTAX_ERROR)
        try:
            return command(self, arguments)
        except RemoteProtocolError as error:
            return self._wrong(error.reply)

    def reply(self, reply: Reply) -> None:
        """Answer the last event; after `Message` once for each recipient, in their order.

        Raises LocalProtocolError where no reply is due.
        """
        waiting = self._waiting
        self._out.append(_encoded(reply))
        if waiting is not None:
            self._waiting = None
            if reply.code < 400:
                if type(waiting) is RcptTo:
                    self._recipients += 1
                    self._state = RCPT
                elif type(waiting) is MailFrom:
                    self._smtputf8 = waiting.smtputf8
                    self._state = MAIL
                else:
                    self._content = Content(self._limits.max_size)
                    self._state = DATA
        elif self._state is REPLYING:
            self._awaited -= 1
            if not self._awaited:
                self._end_transaction()
        else:
            self._out.pop()
            raise LocalProtocolError(f"nothing waits for the reply {reply}")

    def fail(self, reply: Reply) -> None:
        """Answer all that waits for a reply, if anything does, with ``reply``."""
        while self._waiting is not None or self._state is REPLYING:
            self.reply(reply)

    def discard(self, reply: Reply) -> None:
        """Throw away the content that is coming in, held or not; each recipient is told ``reply``.

        Raises LocalProtocolError where no content is coming in.
        """
        if self._state is not DATA:
            raise LocalProtocolError(f"there is no content to discard in state {self._state}")
        self._content.refuse(reply)

    def close(self, reply: Reply) -> None:
        """Say ``reply`` (421, see RFC 5321 section 3.8) and look at nothing more."""
        if self._state is not CLOSED:
            self._out.append(bytes(reply))
            self._shut()

    # Commands. Each is given what stands behind the verb and gives an event.

    def _on_lhlo(self, arguments: bytes) -> Event:
        grammar.parse_lhlo(arguments)
        self._end_transaction()  # RFC 5321 section 4.1.4: as if RSET had been said
        self._state = READY
        return self._answer(self._lhlo)

    def _on_mail(self, arguments: bytes) -> Event:
        event = self._waiting = grammar.parse_mail(arguments, self._peer)
        if event.size > self._limits.max_size:
            self._waiting = None
            return self._answer(_encoded(replies.TOO_BIG))  # RFC 1870 section 6.1
        self._errors = 0
        return event

    def _on_rcpt(self, arguments: bytes) -> Event:
        event = grammar.parse_rcpt(arguments, smtputf8=self._smtputf8)
        if self._recipients >= self._limits.max_recipients:
            return self._answer(_encoded(replies.TOO_MANY_RECIPIENTS))  # RFC 5321 4.5.3.1.10
        self._waiting = event
        self._errors = 0
        return event

    def _on_data(self, arguments: bytes) -> Event:
        _expect_nothing(arguments)
        event = self._waiting = DataBegins()
        self._errors = 0
        return event

    def _on_xforward(self, arguments: bytes) -> Event:
        self._xforward.update(grammar.parse_xforward(arguments))
        self._peer = grammar.make_peer(self._xforward)
        return self._answer(_OK)

    def _on_rset(self, arguments: bytes) -> Event:
        _expect_nothing(arguments)
        self._end_transaction()
        return self._answer(_OK)

    def _on_noop(self, _arguments: bytes) -> Event:
        return self._answer(_OK)

    def _on_vrfy(self, arguments: bytes) -> Event:
        if not arguments.strip():
            raise RemoteProtocolError(replies.BAD_ARGUMENTS)
        return self._answer(_encoded(replies.CANNOT_VERIFY))

    def _on_help(self, _arguments: bytes) -> Event:
        return self._answer(_encoded(COMMANDS))

    def _on_quit(self, arguments: bytes) -> Event:
        _expect_nothing(arguments)
        self.close(replies.BYE)
        return Closed()

    # What becomes of a line.

    def _answer(self, encoded: bytes) -> Event:
        self._errors = 0
        self._out.append(encoded)
        return ANSWERED

    def _wrong(self, reply: Reply) -> Event:
        self._errors += 1
        if self._errors >= self._limits.max_errors:
            self.close(TOO_MANY_ERRORS)
            return Closed()
        self._out.append(_encoded(reply))
        return ANSWERED

    def _part_of_line(self) -> Event:
        if self._eof:
            self._shut()
            return Closed()
        if self.unread >= self._limits.max_line:
            self._swallowing = True
        if self._swallowing:
            self._buffer, self._position = b"", 0
        return NEED_DATA

    def _shut(self) -> None:
        self._end_transaction()
        self._state = CLOSED
        self._waiting = None
        self._buffer, self._position = b"", 0

    def _end_transaction(self) -> None:
        if self._state is not NEW:
            self._state = READY
        self._recipients = self._awaited = 0
        self._content = _NO_CONTENT
        if self._xforward:  # Postfix sends it anew for each message
            self._xforward = {}
            self._peer = NOBODY

    def _next_content(self) -> Event:
        chunk = self._buffer[self._position :] if self._position else self._buffer
        self._buffer, self._position = b"", 0
        if not chunk:
            if self._eof:
                self._shut()
                return Closed()
            return NEED_DATA
        content = self._content
        rest = content.receive(chunk)
        if rest is None:
            return NEED_DATA
        self._buffer = rest
        if content.refusal is not None:
            reply = content.refusal
            self._out.append(_encoded(reply) * self._recipients)  # RFC 2033 section 4.2
            self._end_transaction()
            return Discarded(reply)
        self._state = REPLYING
        self._awaited = self._recipients
        self._content = _NO_CONTENT
        return Message(content.take())


@functools.lru_cache(maxsize=256)
def _encoded(reply: Reply) -> bytes:
    return bytes(reply)


@functools.lru_cache(maxsize=16)
def _lhlo_reply(hostname: str, max_size: int) -> bytes:
    keywords = (
        hostname,
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


def _refusing(reply: Reply) -> Callable[[Connection, bytes], Event]:
    def refuse(_connection: Connection, _arguments: bytes) -> Event:
        raise RemoteProtocolError(reply)

    return refuse


_OK = bytes(replies.OK)
_NO_CONTENT = Content(0)

_ALWAYS = {
    b"LHLO": Connection._on_lhlo,
    b"RSET": Connection._on_rset,
    b"NOOP": Connection._on_noop,
    b"VRFY": Connection._on_vrfy,
    b"HELP": Connection._on_help,
    b"QUIT": Connection._on_quit,
    b"HELO": _refusing(USE_LHLO),
    b"EHLO": _refusing(USE_LHLO),
    **{
        verb: _refusing(replies.NOT_IMPLEMENTED)
        for verb in (b"EXPN", b"ETRN", b"AUTH", b"BDAT", b"STARTTLS")
    },
}
_TRANSACTION = (b"XFORWARD", b"MAIL", b"RCPT", b"DATA")

NEW.commands = {**_ALWAYS, **dict.fromkeys(_TRANSACTION, _refusing(LHLO_FIRST))}
READY.commands = {
    **_ALWAYS,
    b"XFORWARD": Connection._on_xforward,
    b"MAIL": Connection._on_mail,
    b"RCPT": _refusing(MAIL_FIRST),
    b"DATA": _refusing(MAIL_FIRST),
}
MAIL.commands = {
    **_ALWAYS,
    b"XFORWARD": _refusing(NESTED),  # XFORWARD_README: not inside a transaction
    b"MAIL": _refusing(NESTED),
    b"RCPT": Connection._on_rcpt,
    b"DATA": _refusing(NO_RECIPIENTS),
}
RCPT.commands = {**MAIL.commands, b"DATA": Connection._on_data}
