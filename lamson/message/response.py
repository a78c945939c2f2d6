"""MailResponse: a message to be sent.

For handlers, and for `Templates`, which fills it from templates. Nothing that comes from a
stranger's mail can break out of the field it is put into: a name, value, address or file name with
CR, LF or NUL in it raises ValueError at the assignment, naming the field.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from lamson.errors import AddressError
from lamson.message import compose, mailboxes
from lamson.smtp.address import NULL_PATH, parse_mailbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lamson.message.compose import Entity
    from lamson.message.mailboxes import Addresses, Mailbox

_ADDRESSES = {"from", "sender", "to", "cc", "bcc", "reply-to"}
_ONE_ADDRESS = {"from", "sender"}
# RFC 5322 section 3.6
_ONCE = {*_ADDRESSES, "subject", "date", "message-id", "in-reply-to", "references"}
_MADE_HERE = {"mime-version", "content-type", "content-transfer-encoding", "content-disposition"}

_CONTENT_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?: *; *[\w.-]+=[\w.+-]+)*", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class _Field(NamedTuple):
    kind: str  # the name in lower case
    name: str
    value: str
    mailboxes: tuple[Mailbox, ...]


class _Attachment(NamedTuple):
    data: bytes | str
    filename: str
    content_type: str
    inline: bool


class MailResponse:
    """A message to be sent: header fields, a text, HTML, attachments.

    ``to`` is one address or several, ``sender`` the From address, either with a display name if
    wanted (``"Zed Shaw <zed@example.com>"``). A name from elsewhere belongs into a `Mailbox`, which
    never becomes another address; that goes for every field of addresses. With ``body`` and
    ``html`` both, readers show the one they can. ``response["X-Name"] = value`` sets a field, in
    place of those it may have had; `add_header` adds one. Raises ValueError (AddressError for
    addresses) for what cannot be.
    """

    __slots__ = ("_attachments", "_envelope_sender", "_fields", "body", "html")

    def __init__(
        self,
        *,
        to: Addresses,
        sender: str | Mailbox,
        subject: str,
        body: str | None = None,
        html: str | None = None,
        headers: Mapping[str, Addresses] | None = None,
    ) -> None:
        self.body = body
        self.html = html
        self._fields: list[_Field] = []
        self._attachments: list[_Attachment] = []
        self._envelope_sender: str | None = None
        self.add_header("From", sender)
        self.add_header("To", to)
        self.add_header("Subject", subject)
        for name, value in (headers or {}).items():
            self[name] = value

    def __repr__(self) -> str:
        return f"<MailResponse to {self['To']}: {self['Subject']!r}>"

    # The header

    def __getitem__(self, name: str) -> str | None:
        """The value of the first field called ``name``; None without one."""
        kind = name.lower()
        for field in self._fields:
            if field.kind == kind:
                return field.value
        return None

    def __setitem__(self, name: str, value: Addresses) -> None:
        field = self._checked(name, value)
        del self[name]
        self._fields.append(field)

    def __delitem__(self, name: str) -> None:
        """Take out every field called ``name``, if there is any."""
        wanted = name.lower()
        self._fields = [field for field in self._fields if field.kind != wanted]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self[name] is not None

    def get_all(self, name: str) -> list[str]:
        """The values of all fields called ``name``, in the order in which they were added."""
        wanted = name.lower()
        return [field.value for field in self._fields if field.kind == wanted]

    def items(self) -> list[tuple[str, str]]:
        """The fields as (name, value), in the order in which they were added."""
        return [(field.name, field.value) for field in self._fields]

    def add_header(self, name: str, value: Addresses) -> None:
        """Add a field beside those of the same name; ValueError where there may be only one."""
        field = self._checked(name, value)
        if field.kind in _ONCE and self[name] is not None:
            raise ValueError(f"there is a header field {name} already, and there may be only one")
        self._fields.append(field)

    @staticmethod
    def _checked(name: str, value: Addresses) -> _Field:
        kind = name.lower()
        texts = [value] if isinstance(value, str | mailboxes.Mailbox) else value
        for text in texts or [""]:
            compose.check_field(name, text if isinstance(text, str) else "")
        if kind in _MADE_HERE:
            raise ValueError(f"header field {name} follows from body, html and attachments")
        if isinstance(value, str):
            value = value.strip(" \t")
        if kind not in _ADDRESSES:
            if mailboxes.is_field(kind) and not (
                isinstance(value, str) and compose.is_plain(value)
            ):
                found = mailboxes.of(value)
                return _Field(kind, name, ", ".join(map(str, found)), found)
            if not isinstance(value, str):
                raise TypeError(f"header field {name} takes a text, not {type(value).__name__}")
            return _Field(kind, name, value, ())
        if kind in _ONE_ADDRESS and isinstance(value, str):
            found = (mailboxes.parse_one(value),)
        else:
            found = mailboxes.of(value)
        if kind in _ONE_ADDRESS and len(found) != 1:
            raise AddressError(f"header field {name} takes one address, not {len(found)}")
        shown = ", ".join(map(str, found))
        return _Field(kind, name, shown or str(value), found)

    # The addresses

    @property
    def sender(self) -> str:
        """The From field."""
        return self["From"] or ""

    @property
    def to(self) -> list[str]:
        """The addresses of the To field, without display names."""
        return self._addresses("to")

    @property
    def recipients(self) -> list[str]:
        """The addresses of To, Cc and Bcc, each once."""
        return list(dict.fromkeys(self._addresses("to", "cc", "bcc")))

    @property
    def envelope_sender(self) -> str:
        """Where bounces go (MAIL FROM): what was set, else the From address; "" is <>, nowhere."""
        if self._envelope_sender is not None:
            return self._envelope_sender
        return next(iter(self._addresses("from")), NULL_PATH)

    @envelope_sender.setter
    def envelope_sender(self, address: str | Mailbox | None) -> None:
        if isinstance(address, mailboxes.Mailbox):
            address = address.address
        elif address:
            address = parse_mailbox(address, smtputf8=True)
        self._envelope_sender = address

    def _addresses(self, *kinds: str) -> list[str]:
        return [
            mailbox.address
            for field in self._fields
            if field.kind in kinds
            for mailbox in field.mailboxes
        ]

    @property
    def needs_smtputf8(self) -> bool:
        """True where an address is not ASCII, so that the message needs SMTPUTF8 (RFC 6531)."""
        if self._envelope_sender is None and all(field.value.isascii() for field in self._fields):
            return False
        addresses = [mailbox.address for field in self._fields for mailbox in field.mailboxes]
        return not all(map(str.isascii, (*addresses, self.envelope_sender)))

    # The content

    def attach(
        self,
        data: bytes | str,
        *,
        filename: str,
        content_type: str = "application/octet-stream",
        inline: bool = False,
    ) -> None:
        """Attach a file. With ``inline``, the HTML shows it as ``cid:FILENAME`` (RFC 2392).

        A ``str`` of a text type is sent as UTF-8 text, its line ends normalised; ``bytes`` stay as
        they are. Raises ValueError for a wrong type, and for a file name that is empty, longer than
        255 octets in UTF-8, or holds control characters.
        """
        if not filename.strip() or _CONTROL.search(filename) or len(filename.encode()) > 255:
            raise ValueError(f"not a file name for an attachment: {filename[:80]!r}")
        if len(content_type) > 200 or not _CONTENT_TYPE.fullmatch(content_type):
            raise ValueError(f"not a content type such as image/png: {content_type[:80]!r}")
        self._attachments.append(_Attachment(data, filename, content_type, inline))

    def to_bytes(self) -> bytes:
        """The message as it is submitted. Bcc is left out; Date and Message-ID are not made up."""
        utf8 = self.needs_smtputf8
        fields: list[bytes] = []
        for kind, name, value, found in self._fields:
            if not found:
                fields.append(compose.encoded_field(name, value, utf8=utf8))
            elif kind != "bcc":
                value = ", ".join(mailbox.encoded(utf8=utf8) for mailbox in found)
                fields.append(compose.fold(name, value))
        content = self._entity()
        return b"%bMIME-Version: 1.0\r\n%b\r\n%b" % (b"".join(fields), *content)

    def _entity(self) -> Entity:
        has_html = self.html is not None
        shown = [one for one in self._attachments if has_html and one.inline]
        others = [one for one in self._attachments if not (has_html and one.inline)]
        alternatives: list[Entity] = []
        if self.body is not None or self.html is None:
            alternatives.append(compose.text_entity(self.body or ""))
        if self.html is not None:
            page = compose.text_entity(self.html, "text/html")
            if shown:  # RFC 2387
                page = compose.multipart("related", [page, *map(_attached, shown)])
            alternatives.append(page)
        text = alternatives[0]
        if len(alternatives) > 1:
            text = compose.multipart("alternative", alternatives)
        return compose.multipart("mixed", [text, *map(_attached, others)]) if others else text


def _attached(attachment: _Attachment) -> Entity:
    data, filename, content_type, inline = attachment
    fields = compose.disposition("inline" if inline else "attachment", filename)
    if inline:
        fields += compose.fold("Content-ID", f"<{quote(filename, safe='')}>")
    if isinstance(data, bytes):
        return compose.data_entity(data, content_type, fields)
    if content_type.startswith("text/") and ";" not in content_type:
        return compose.text_entity(data, content_type, fields)
    return compose.data_entity(data.encode("utf-8", "replace"), content_type, fields)
