"""What the LMTP connection tells the session: events, signals, two kinds of error.

Made by `connection.Connection.next_event`, read by `session.Session`. Plain data. A mistake of the
client is a `RemoteProtocolError` inside the connection and reaches the client as a reply; a mistake
in our own use of the connection is a `LocalProtocolError` and is raised to whoever made it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.smtp.envelope import NOBODY

if TYPE_CHECKING:
    from lamson.smtp.envelope import Peer
    from lamson.smtp.reply import Reply


class LocalProtocolError(LamsonError):
    """This program used the connection wrongly: a reply nobody waits for, an event not answered."""


class RemoteProtocolError(LamsonError):
    """The client broke the protocol. ``reply`` is what it is told; it never leaves the package.

    ``counts`` is False where a client that works as it should gets there too: with an address that
    Postfix passes, and with what was pipelined behind a command that was refused.
    """

    def __init__(self, reply: Reply, *, counts: bool = True) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.counts = counts


class Signal(enum.Enum):
    """What `next_event` gives where there is nothing to tell but this."""

    NEED_DATA = "need data"  # nothing more until receive_data or receive_eof
    ANSWERED = "answered"  # a line was answered by the connection itself; ask again
    DATA_BEGINS = "data begins"  # DATA wants one reply; 354 lets the content come
    PAUSED = "paused"  # nothing more until every recipient of the last message has its reply
    STARTTLS = "starttls"  # the 220 is in data_to_send; nothing more until `Connection.secured`
    CLOSED = "closed"  # QUIT, end of file, or who was sent away: nothing comes after it


NEED_DATA = Signal.NEED_DATA
ANSWERED = Signal.ANSWERED
DATA_BEGINS = Signal.DATA_BEGINS
PAUSED = Signal.PAUSED
STARTTLS = Signal.STARTTLS
CLOSED = Signal.CLOSED


@dataclass(slots=True)
class MailFrom:
    """MAIL: a transaction is asked for. Wants one reply; a positive one begins it.

    ``sender`` is "" for the null reverse-path. ``size`` is what SIZE= announced, in octets, 0 where
    it was not given (RFC 1870). ``peer`` is what XFORWARD told before. ``unusable`` is a sender
    that is no address, instead of which the null one counts.
    """

    sender: str
    size: int = 0
    eight_bit: bool = False
    smtputf8: bool = False
    peer: Peer = NOBODY
    unusable: bytes = b""


@dataclass(frozen=True, slots=True)
class RcptTo:
    """RCPT: one more recipient. Wants one reply; a positive one accepts it."""

    recipient: str


@dataclass(slots=True)
class Message:
    """The end of the data. Wants one reply for each accepted recipient, in their order.

    ``content`` is what was sent, octet for octet, dots un-stuffed (RFC 5321 section 4.5.2).
    """

    content: bytes


@dataclass(slots=True)
class Discarded:
    """The end of data that was not kept: each recipient was answered with ``reply`` already."""

    reply: Reply


@dataclass(slots=True)
class NotLmtp:
    """The client speaks another protocol, and is sent away; CLOSED comes after it.

    ``line`` is how the line began that told it.
    """

    line: bytes


Event = MailFrom | RcptTo | Message | Discarded | NotLmtp | Signal
