"""What one delivery is known by: where its message came from, when, to whom, and what it says.

For `seen`. The source id is what Postfix says of its queue entry; the key of the table leads with
the time that every attempt agrees on, so that keys are written, and forgotten, in order. Beside it
goes a digest of what stays the same on every attempt: whoever reaches the port may claim a queue
id, but not with the content of the mail that waits under it. The Message-ID is no source: a
stranger could have claimed it first. Where nothing trustworthy says where a message came from there
is no key, and nothing is suppressed: a false duplicate would be lost mail.
"""

from __future__ import annotations

import hashlib
import re
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lamson.smtp.envelope import Envelope

TIME_SIZE = 8  # octets of a key that are its time: microseconds since the epoch, big-endian
_DIGEST_SIZE = 16  # octets of a digest that are kept: no two were ever found to be alike

# Postfix puts its Received field on top; with `flags=` lmtp(8) adds the three others above it. Its
# value says "(Postfix)" after our own server's name, or "(Postfix, from userid N)" for sendmail(1).
_POSTFIX_RECEIVED = re.compile(
    rb"(?:(?:Return-Path|Delivered-To|X-Original-To):[^\n]*\n)*"
    rb"Received: (?:from [^\n]*\n(?:[ \t][^\n]*\n){0,4}?[ \t]+)?"
    rb"by [^\n ]+ \(Postfix(?:, from userid \d+)?\)"
)
_HEADER_START = 4096  # bytes in which that field is looked for
_REST_OF_FIELD = re.compile(rb"[^\n]*(?:\n[ \t][^\n]*){0,4}")
_FIELD_SIZE = 1024  # octets of that field in which its date is looked for

# Of the header, what neither lmtp(8) nor `postsuper -r` (another Received, and whatever a content
# filter or milter puts on top) adds to. Once each, as RFC 5322 section 3.6 has them.
_LASTING = (b"from", b"date", b"message-id", b"subject", b"to")
# The look ahead, and no IGNORECASE outside of it, is what lets most lines pass at once.
_FIELD_OR_END = re.compile(
    rb"\n(?=[fdmst\r\nFDMST])(?:((?i:%b)):((?:[^\n]++|\n(?=[ \t]))*+)|\r?\n)" % b"|".join(_LASTING),
)
_HEADER_SIZE = 256 * 1024  # octets of a header; what is behind counts as body
_VALUE_SIZE = 8192  # octets of a field that count


class Key(NamedTuple):
    """One recipient of one message. Two are equal where all of it is."""

    entry: bytes
    """24 octets: the time, and a digest over source id, sender and recipient."""
    content: bytes
    """16 octets, of what stays the same on every attempt; b"" where the source id implies it."""
    without_time: bytes
    """32 octets: that digest whole, which was the key once (see lamson/storage/seen_before.py)."""

    @property
    def name(self) -> bytes:
        """32 octets that stand for the whole of it."""
        return hashlib.sha256(self.entry + self.content).digest()

    @property
    def other_entry(self) -> bytes:
        """The entry for this content, where another one has the first."""
        return self.entry[:TIME_SIZE] + self.name[:_DIGEST_SIZE]


class Source(NamedTuple):
    """What a message came from, and what it says."""

    id: bytes
    microseconds: int
    content: bytes

    def key(self, sender: str, recipient: str) -> Key:
        """The key of the delivery to one of its recipients.

        Each has one of its own, because Postfix regroups them between attempts.
        """
        id, mine, theirs = self.id, sender.encode("utf-8", "surrogateescape"), recipient.encode()
        parts = (len(id), id, len(mine), mine, len(theirs), theirs)
        digest = hashlib.sha256(b"%d:%b%d:%b%d:%b" % parts).digest()
        return Key(time_prefix(self.microseconds) + digest[:_DIGEST_SIZE], self.content, digest)


def source(envelope: Envelope, content: bytes) -> Source | None:
    """The source of a message that Postfix hands over, or None where nothing identifies it.

    A long queue id is never used again. A short one is, so then (and for mail from sendmail(1),
    which has no XFORWARD IDENT) the message itself is the identity, provided that Postfix stamped
    it: its Received field holds the queue id and the time.
    """
    queue_id = envelope.peer.ident
    if queue_id and queue_id.is_long:
        id = b"queue-id:" + queue_id.encode("ascii")
        return Source(id, queue_id.microseconds, _lasting_digest(content))
    stamp = _POSTFIX_RECEIVED.match(content, 0, _HEADER_START)
    if stamp:
        id = b"content:" + hashlib.sha256(content).digest()
        return Source(id, _stamped_at(content, stamp.end()), b"")
    return None


def kept_source(name: str) -> Source:
    """The source of a message in run/undeliverable, by the name that it is kept under."""
    return Source(b"kept:" + name.encode(), 0, b"")


def time_prefix(microseconds: int) -> bytes:
    """What the keys of that time begin with. A time that nobody can mean counts as the last one."""
    return min(max(microseconds, 0), (1 << 8 * TIME_SIZE) - 1).to_bytes(TIME_SIZE, "big")


def _stamped_at(content: bytes, position: int) -> int:
    """The date in Postfix's Received field, behind its last semicolon (RFC 5321 section 4.4)."""
    field = _REST_OF_FIELD.match(content, position, position + _FIELD_SIZE)
    return _moment(field[0].rpartition(b";")[2]) if field else 0


@lru_cache(64)
def _moment(date_time: bytes) -> int:
    """What comes within one second has one date."""
    date = parsedate_tz(date_time.decode("ascii", "replace"))
    try:
        return mktime_tz(date) * 1_000_000 if date else 0
    except (ValueError, OverflowError):
        return 0


def _lasting_digest(content: bytes) -> bytes:
    header = b"\n" + content[:_HEADER_SIZE]
    values: dict[bytes, bytes] = {}
    end = len(header)
    for found in _FIELD_OR_END.finditer(header):
        name, value = found.groups()
        if name is None:
            end = found.end()
            break
        name = name.lower()
        if name not in values:  # a rewriting may fold otherwise
            values[name] = b" ".join(value[:_VALUE_SIZE].split())
    digest = hashlib.sha256(b"\0".join([values.get(name, b"\0") for name in _LASTING]))
    digest.update(memoryview(content)[end - 1 :])
    return digest.digest()[:_DIGEST_SIZE]
