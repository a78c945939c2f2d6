"""The envelope of a message: who sent it, to whom, and what Postfix told us about its way here.

The envelope alone decides routing; header fields never do. Everything here is plain data. An
envelope is a tuple, since one is made for each message: a frozen dataclass takes much longer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

# Long queue ids (enable_long_queue_ids=yes): six digits of seconds, four of microseconds in base
# 52, "z", the inode in base 51. No vowels, so that they never spell a word. Short ids are in
# upper-case hexadecimal, so that the two cannot be taken for each other.
_BASE_51 = "[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]"
_LONG_QUEUE_ID = re.compile(f"(?:{_BASE_51}|z){{10,}}z{_BASE_51}+")

_BASE_52 = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"

_NO_CAPTURES: Mapping[str, str] = MappingProxyType({})


class QueueId(str):
    """Postfix's queue id, from XFORWARD IDENT. "" where it is not known."""

    __slots__ = ()

    @property
    def is_long(self) -> bool:
        """True for a long queue id, which is never used again; a short one repeats."""
        return _LONG_QUEUE_ID.fullmatch(self) is not None

    @property
    def microseconds(self) -> int:
        """The time since the epoch at which Postfix made a long queue id.

        The inode behind the last "z" has none; the four digits in front of it are microseconds,
        and those before them seconds.
        """
        time = self[: self.rindex("z")]
        seconds, microseconds = _number(time[:-4]), _number(time[-4:])
        return seconds * 1_000_000 + microseconds


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 52 + _BASE_52.index(digit)
    return value


_UNKNOWN = QueueId("")


LOCAL, REMOTE = "LOCAL", "REMOTE"  # `Peer.source`, as XFORWARD_README has it


@dataclass(frozen=True, slots=True)
class Sasl:
    """How a client has authenticated (RFC 4954); false where it has not.

    ``login`` is the name it gave, ``method`` the mechanism (PLAIN), ``author`` the AUTH= of its
    MAIL command.
    """

    login: str = ""
    method: str = ""
    author: str = ""

    def __bool__(self) -> bool:
        return bool(self.login)


@dataclass(frozen=True, slots=True)
class Tls:
    """How a client's connection is encrypted; false where it is not.

    ``version`` is TLSv1.3 or another, ``bits`` the strength of ``cipher``. ``subject`` and
    ``issuer`` are of the client's certificate, "" where it showed none; whether Postfix could
    verify it they do not tell.
    """

    version: str = ""
    cipher: str = ""
    bits: int = 0
    subject: str = ""
    issuer: str = ""

    def __bool__(self) -> bool:
        return bool(self.version)


@dataclass(frozen=True, slots=True)
class Daemon:
    """Which service of Postfix asks: its ``milter_macro_daemon_name``, address and port.

    False where it is not told.
    """

    name: str = ""
    addr: str = ""
    port: str = ""

    def __bool__(self) -> bool:
        return bool(self.name or self.addr or self.port)


_NO_SASL, _NO_TLS, _NO_DAEMON = Sasl(), Tls(), Daemon()


@dataclass(frozen=True, slots=True)
class Peer:
    """The client that handed the message to Postfix, as far as Postfix told; "" where unknown.

    ``name`` and ``addr`` are its host name, as Postfix has verified it, and IP address; ``port`` is
    its TCP port; ``proto`` is SMTP or ESMTP; ``helo`` what it said in HELO, which proves nothing;
    ``ident`` the queue id; ``source`` LOCAL or REMOTE. Source: Postfix's XFORWARD_README.

    Filters are told more (Postfix's MILTER_README): ``ptr`` is the name that its address has in the
    DNS, ``resolve`` whether that name leads back (OK, FAIL, FORGED or TEMP); ``connections`` how
    many it has open; ``sasl``, ``tls`` and ``daemon``. Raises nothing: a value is what came.
    """

    name: str = ""
    addr: str = ""
    port: str = ""
    proto: str = ""
    helo: str = ""
    ident: QueueId = _UNKNOWN
    source: str = ""
    ptr: str = ""
    resolve: str = ""
    connections: int = 0
    sasl: Sasl = _NO_SASL
    tls: Tls = _NO_TLS
    daemon: Daemon = _NO_DAEMON

    @property
    def is_authenticated(self) -> bool:
        """True for a client that has logged in (SASL)."""
        return bool(self.sasl)

    @property
    def is_local(self) -> bool:
        """True for mail that came in on this machine by no network: Postfix's sendmail command."""
        return self.source == LOCAL


NOBODY = Peer()


@dataclass(frozen=True, slots=True)
class Recipient:
    """One envelope recipient (RCPT TO) and what the matching route captured from it.

    It ``is_signed`` where that route found a valid token in it, which only we can have made.
    """

    address: str
    captures: Mapping[str, str] = field(default_factory=lambda: _NO_CAPTURES)
    is_signed: bool = False

    def __str__(self) -> str:
        return self.address


class Envelope(NamedTuple):
    """One mail transaction: the sender ("" is the null reverse-path) and the accepted recipients.

    ``id`` is how log lines call the message: the queue id, else one that this process made up.
    ``smtputf8`` and ``eight_bit`` say what the client declared (RFC 6531, RFC 6152); ``received``
    is the time of the end of data, in seconds since the epoch.
    """

    sender: str
    recipients: tuple[str, ...] = ()
    peer: Peer = NOBODY
    smtputf8: bool = False
    eight_bit: bool = False
    received: float = 0.0
    id: str = "-"

    @property
    def queue_id(self) -> QueueId:
        return self.peer.ident
