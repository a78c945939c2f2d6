"""What any octets are thrown at, and what must hold then. Each raises where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.errors import AddressError
from lamson.message.request import MailRequest
from lamson.smtp import address
from lamson.smtp.envelope import Envelope, Recipient
from lamson.smtp.folding import composed
from lamson_lmtp.socketmap.netstring import NetstringError, Netstrings
from lamson_milter.decision import paths
from tests.fuzz.test_lmtp import LINES, cut_up, observe

if TYPE_CHECKING:
    from collections.abc import Callable

ENVELOPE = Envelope("zed@example.com", ("list@test.com",))
RECIPIENT = Recipient("list@test.com")
LONGEST_NETSTRING = 100  # octets
GROWTH = 8  # characters of text for each octet of a message, at most; a dozen more for its frame


def _sizes(data: bytes) -> tuple[list[int], bytes]:
    """Where the rest of ``data`` is cut: the first octet says how many sizes follow it."""
    count = data[0] % 8 + 1 if data else 1
    return [octet % 40 + 1 for octet in data[1 : 1 + count]] or [1], data[1 + count :]


def connection(data: bytes) -> None:
    """An LMTP connection: never an exception, bounded, and the cuts make no difference."""
    sizes, rest = _sizes(data)
    whole = observe([rest])
    assert observe(cut_up(rest, sizes)) == whole


def addresses(data: bytes) -> None:
    """The address grammar: only AddressError, and what it gives is canonical."""
    text = data.decode("utf-8", "surrogateescape")
    for smtputf8 in (False, True):
        try:
            found = address.parse_path(text, smtputf8=smtputf8, null=True)
        except AddressError:
            continue
        assert address.parse_path(f"<{found}>", smtputf8=smtputf8, null=True) == found
        assert not set(found) & set("\r\n\0")
        assert len(found.encode()) <= address.MAX_PATH - 2
        folded = address.normalise(found)
        assert address.normalise(folded) == folded
    author = address.single_mailbox(text)
    if author is not None:
        assert address.parse_mailbox(author, smtputf8=True) == author


def mail(data: bytes) -> None:
    """MailRequest: no accessor raises, and no text is out of proportion to the message."""
    message = MailRequest(data, ENVELOPE, RECIPIENT)
    texts = [message.body, message.html or "", message.subject, message.author]
    texts += [message.message_id or "", message.automatic_reason or "", repr(message)]
    for name, value in message.items():
        texts += [name, value]
    for part in message.parts:
        texts += [part.text, part.content_type, part.filename or ""]
        assert isinstance(part.content, bytes)
        assert len(part.content) <= len(data) + 1
    assert message.is_bounce in (True, False)
    assert "".join(one.text for one in message.fragments) == message.body
    texts += [message.automatic_kind or "", message.new_text]
    texts += [str(one) for one in message.defects]
    for text in texts:
        text.encode()
        assert len(text) <= GROWTH * len(data) + 200
    assert message.raw is data


def netstrings(data: bytes) -> None:
    """The socketmap's framing: bounded, and the cuts make no difference."""
    sizes, rest = _sizes(data)
    assert _framed(cut_up(rest, sizes)) == _framed([rest])


def _framed(chunks: list[bytes]) -> tuple[list[bytes], bool]:
    framing, found = Netstrings(LONGEST_NETSTRING), []
    for chunk in chunks:
        try:
            framing.receive(chunk)
            failed = False
        except NetstringError:
            failed = True
        while (one := framing.take()) is not None:
            assert len(one) <= LONGEST_NETSTRING
            found.append(one)
        if failed:
            return found, True
    return found, False


def milter_addresses(data: bytes) -> None:
    """What the milter makes of a path and of how Postfix reads it: an address, never an exception.

    It is Postfix's where both say something else, so that no spelling leads past a filter.
    """
    given, _, read = data.partition(b"\0")
    for null in (False, True):
        found = paths.read_address(
            given.decode("utf-8", "surrogateescape"),
            read.decode("utf-8", "surrogateescape"),
            null=null,
        )
        assert isinstance(found, str)
        try:
            known = address.parse_path(f"<{read.decode()}>", smtputf8=True)
        except (AddressError, UnicodeDecodeError):
            continue
        assert composed(found) == composed(known)


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (connection, addresses, mail, netstrings, milter_addresses)
}

_HEAD = b"From: Zed <zed@example.com>\r\nSubject: =?utf-8?q?h=C3=A9llo?=\r\nMIME-Version: 1.0\r\n"
_MIXED = (
    b"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--ab\r\n%s\r\n--ab--\r\n"
)
SEEDS: dict[str, list[bytes]] = {
    "connection": [b"\x00\x27" + b"".join(LINES[:10]), b"\x01\x03\x05" + b"".join(LINES)],
    "addresses": [
        b"<zed@example.com>",
        b'<"a b\\""@[IPv6:::1]>',
        b"<@relay.example:zed@example.com>",
        b"Zed (a comment) <zed@example.com>, x",
        "zé@bücher.example".encode(),
        "<\u017f@te\u017ft.com>".encode(),
    ],
    "mail": [
        _HEAD + b"\r\nhello\r\n",
        _HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>a &#8364; <b>b</b>\r\n",
        _HEAD + _MIXED % b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=",
        _HEAD + _MIXED % b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny",
        _HEAD + _MIXED % b"Content-Disposition: attachment; filename*=utf-8''%41\r\n\r\n=41=\r\n",
    ],
    "netstrings": [b"\x00\x02" + b"5:hello,0:,", b"\x00\x02" + b"101:"],
    "milter_addresses": [
        b"<zed@example.com>\0zed@example.com",
        b"<zed(a comment)@host>\0zed@host",
        "<\u017f@te\u017ft.com>\0s@test.com".encode(),
    ],
}
"""Inputs to begin with: those that reach the deeper states at once."""
