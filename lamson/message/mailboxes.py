"""The mailboxes in an address field that we write: ``Zed Shaw <zed@example.com>, joe@example.com``.

For `MailResponse`. Strict, as this is our own output: whatever is not a mailbox raises
`AddressError` at the assignment. What strangers wrote is read by
`lamson.smtp.address.single_mailbox`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lamson.errors import AddressError
from lamson.message.compose import encode_words, is_plain
from lamson.smtp.address import parse_mailbox

_ITEM = r'(?>(?:[^",]|"(?>(?:[^"\\]|\\.)*)")+)'
_BETWEEN_COMMAS = re.compile(_ITEM)
_LIST = re.compile(f"{_ITEM}(?>(?:,{_ITEM})*)")
_EMPTY_GROUP = re.compile(r"[A-Za-z0-9 _-]+: *;")  # undisclosed-recipients:; (RFC 5322 section 3.4)
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
# The last < that opens an address: one may stand in a display name, and in a quoted local part.
_NAMED = re.compile(r'(.*)<([^"<>]*|"(?>(?:[^"\\]|\\.)*)"@[^"<>]*)>', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)")
_TO_ESCAPE = re.compile(r'(["\\])')
_MAX_DISPLAY = 200  # characters, so that it fits a line in any form


class Mailbox(NamedTuple):
    """A display name, "" for none, and a canonical address."""

    display: str
    address: str

    def __str__(self) -> str:
        if not self.display:
            return self.address
        if _ATOMS.fullmatch(self.display):
            return f"{self.display} <{self.address}>"
        quoted = _TO_ESCAPE.sub(r"\\\1", self.display)
        return f'"{quoted}" <{self.address}>'

    def encoded(self, *, utf8: bool) -> str:
        """As it stands in a field; the display name as encoded words where it must be."""
        if is_plain(self.display, utf8=utf8):
            return str(self)
        return f"{encode_words(self.display)} <{self.address}>"


def parse(value: str) -> tuple[Mailbox, ...]:
    """The mailboxes of a field's value; none of them for an empty group."""
    if _EMPTY_GROUP.fullmatch(value):
        return ()
    if not _LIST.fullmatch(value):
        raise AddressError(f"not a list of mail addresses: {value[:200]!r}")
    return tuple(parse_one(item) for item in _BETWEEN_COMMAS.findall(value))


def parse_one(value: str) -> Mailbox:
    """``Name <address>`` or ``address``, exactly one. Raises AddressError."""
    text = value.strip()
    named = _NAMED.fullmatch(text)
    if named is None:
        return Mailbox("", parse_mailbox(text, smtputf8=True))
    display, address = named[1].strip(), named[2]
    if len(display) > 1 and display[0] == display[-1] == '"':
        display = _ESCAPED.sub(r"\1", display[1:-1]).strip()
    elif '"' in display:
        address = ""
    if not address or len(display) > _MAX_DISPLAY:
        raise AddressError(f"not a mail address: {value[:200]!r}")
    return Mailbox(display, parse_mailbox(address, smtputf8=True))
