"""The mailboxes in an address field that we write: ``Zed Shaw <zed@example.com>, joe@example.com``.

For `MailResponse`. Strict, as this is our own output: whatever is not a mailbox raises
`AddressError` at the assignment. What strangers wrote is read by `address_list`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from lamson.errors import AddressError
from lamson.message.compose import encode_words, is_plain
from lamson.smtp.address import parse_mailbox

_FIELDS = frozenset(
    {"bcc", "cc", "disposition-notification-to", "errors-to", "from", "mail-followup-to"}
    | {"mail-reply-to", "reply-to", "return-receipt-to", "sender", "to"}
)
_RESENT = "resent-"

_ITEM = r'(?>(?:[^",]|"(?>(?:[^"\\]|\\.)*)")+)'
_BETWEEN_COMMAS = re.compile(_ITEM)
_LIST = re.compile(f"{_ITEM}(?>(?:,{_ITEM})*)")
_EMPTY_GROUP = re.compile(r"[A-Za-z0-9 _-]+: *;")  # undisclosed-recipients:; (RFC 5322 section 3.4)
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
# The last < that opens an address: one may stand in a display name, and in a quoted local part.
_NAMED = re.compile(r'(.*)<([^"<>]*|"(?>(?:[^"\\]|\\.)*)"@[^"<>]*)>', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)")
_TO_ESCAPE = re.compile(r'(["\\])')
_NOT_IN_NAMES = re.compile("[\r\n\0\ud800-\udfff]")
MAX_NAME = 200  # characters, so that it fits a line in any form


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox: a display name, "" for none, and an address.

    ``MailResponse(to=Mailbox(name, address), ...)`` goes to this address and no other, whatever the
    name is; a text such as ``f"{name} <{address}>"`` is read, and a comma in the name makes two.
    Raises AddressError, a ValueError, for what is no address, and for a name that holds CR, LF, NUL
    or half of a surrogate pair, or more than 200 characters.
    """

    name: str
    address: str

    def __post_init__(self) -> None:
        name = self.name.strip()
        if len(name) > MAX_NAME or _NOT_IN_NAMES.search(name):
            raise AddressError(f"not the name of a mailbox: {self.name[:200]!r}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "address", parse_mailbox(self.address, smtputf8=True))

    def __str__(self) -> str:
        if not self.name:
            return self.address
        if _ATOMS.fullmatch(self.name):
            return f"{self.name} <{self.address}>"
        quoted = _TO_ESCAPE.sub(r"\\\1", self.name)
        return f'"{quoted}" <{self.address}>'

    def encoded(self, *, utf8: bool) -> str:
        """As it stands in a field; the name as encoded words where it must be."""
        if is_plain(self.name, utf8=utf8):
            return str(self)
        return f"{encode_words(self.name)} <{self.address}>"


def is_field(name: str) -> bool:
    """True where a field called ``name`` holds addresses: no encoded word may have one in it."""
    return name.lower().removeprefix(_RESENT) in _FIELDS


Addresses: TypeAlias = "str | Mailbox | Iterable[str | Mailbox]"
"""What an address field is made of: a text with one address or several, or `Mailbox` objects."""

Recipients: TypeAlias = "str | Mailbox | Iterable[str | Mailbox]"
"""Whom the envelope names: one address, or any number of them."""


def listed(recipients: Recipients) -> list[str | Mailbox]:
    """The recipients as a list, which can be gone through more than once."""
    return [recipients] if isinstance(recipients, str | Mailbox) else list(recipients)


def of(value: Addresses) -> tuple[Mailbox, ...]:
    """The mailboxes that are meant. Raises AddressError, TypeError for what can be none."""
    if isinstance(value, Mailbox):
        return (value,)
    if isinstance(value, str):
        return parse(value)
    if not value:
        raise AddressError("no mail address: the list is empty")
    if not isinstance(value, Iterable):
        raise TypeError(f"not a mail address, but {type(value).__name__}: {value!r:.200}")
    return tuple(mailbox for one in value for mailbox in of(one))


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
        return Mailbox("", text)
    display, address = named[1].strip(), named[2]
    if len(display) > 1 and display[0] == display[-1] == '"':
        display = _ESCAPED.sub(r"\1", display[1:-1]).strip()
    elif '"' in display:
        address = ""
    if not address or len(display) > MAX_NAME or _NOT_IN_NAMES.search(display):
        raise AddressError(f"not a mail address: {value[:200]!r}")
    return Mailbox(display, address)
