"""MailResponse: a message to be sent.

For handlers, and for `Templates`, which fills it from templates. Nothing that comes from a
stranger's mail can break out of the field it is put into: a name, value, address or file name with
CR, LF or NUL in it raises ValueError at the assignment, naming the field.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from lamson import log
from lamson.errors import AddressError, LamsonError
from lamson.message import attachment, compose, mailboxes, structured
from lamson.message.attachment import Attachment
from lamson.message.mailboxes import Mailbox
from lamson.smtp.address import NULL_PATH, for_ascii, parse_mailbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lamson.message.attachment import Attachable
    from lamson.message.compose import Entity
    from lamson.message.mailboxes import Addresses

_ADDRESSES = {"from", "sender", "to", "cc", "bcc", "reply-to"}
_ONE_ADDRESS = {"from", "sender"}
# RFC 5322 section 3.6
_ONCE = {*_ADDRESSES, "subject", "date", "message-id", "in-reply-to", "references"}
_MADE_HERE = {"mime-version", "content-type", "content-transfer-encoding", "content-disposition"}


class _Field(NamedTuple):
    kind: str  # the name in lower case
    name: str
    value: str
    mailboxes: tuple[Mailbox, ...]


class MailResponse:
    """A message to be sent: header fields, a text, HTML, attachments.

    ``to`` is one address or several, ``sender`` the From address, either with a display name if
    wanted (``"Zed Shaw <zed@example.com>"``). A name from elsewhere belongs into a `Mailbox`, which
    never becomes another address; that goes for every field of addresses. With ``body`` and
    ``html`` both, readers show the one they can. ``response["X-Name"] = value`` sets a field, in
    place of those it may have had; `add_header` adds one. HTML without a text gets one made from
    it, and its style sheets are made style attributes. A domain beyond ASCII is written in A-labels
    where the local part is ASCII, so that no server needs SMTPUTF8 for it. Raises ValueError
    (AddressError for addresses) for what cannot be, and LamsonError for a change after it was sent.
    """

    __slots__ = ("_attachments", "_body", "_envelope_sender", "_fields", "_html", "_is_frozen")

    def __init__(
        self,
        *,
        to: Addresses,
        sender: str | Mailbox,
        subject: str,
        body: str | None = None,
        html: str | None = None,
        headers: Mapping[str, Addresses] | None = None,
        cc: Addresses | None = None,
        attachments: Sequence[Attachable] = (),
    ) -> None:
        self._is_frozen = False
        self._body = _text("body", body)
        self._html = _text("html", html)
        self._fields: list[_Field] = []
        self._attachments: list[Attachment] = []
        self._envelope_sender: str | None = None
        self.add_header("From", sender)
        self.add_header("To", to)
        if cc:
            self.add_header("Cc", cc)
        self.add_header("Subject", subject)
        for name, value in (headers or {}).items():
            self[name] = value
        if not isinstance(attachments, Iterable):
            raise TypeError(f"attachments takes a list, not {type(attachments).__name__}")
        for one in attachments:
            self._attach(attachment.of(one), is_ours=isinstance(one, Attachment))

    def __repr__(self) -> str:
        return f"<MailResponse to {self['To']}: {self['Subject']!r}>"

    def freeze(self) -> None:
        """It has left: whatever would change it raises from now on."""
        self._is_frozen = True

    def _frozen(self) -> LamsonError:
        return LamsonError(
            f"this message was sent and cannot be changed: {self!r}; compose another one"
        )

    @property
    def body(self) -> str | None:
        """The text; None where there is HTML alone: it is made from that then."""
        return self._body

    @body.setter
    def body(self, text: str | None) -> None:
        if self._is_frozen:
            raise self._frozen()
        self._body = _text("body", text)

    @property
    def html(self) -> str | None:
        """The HTML, None without."""
        return self._html

    @html.setter
    def html(self, page: str | None) -> None:
        if self._is_frozen:
            raise self._frozen()
        self._html = _text("html", page)

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
        if self._is_frozen:
            raise self._frozen()
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
        if self._is_frozen:
            raise self._frozen()
        field = self._checked(name, value)
        if field.kind in _ONCE and self[name] is not None:
            raise ValueError(f"there is a header field {name} already, and there may be only one")
        self._fields.append(field)

    @staticmethod
    def _checked(name: str, value: Addresses) -> _Field:
        kind = name.lower()
        texts: Sequence[object] = (value,)
        if not isinstance(value, str | Mailbox) and isinstance(value, Iterable):
            texts = value = tuple(value)  # a query's rows can be gone through but once
        for text in texts or ("",):
            compose.check_field(name, text if isinstance(text, str) else "")
        if kind in _MADE_HERE:
            raise ValueError(f"header field {name} follows from body, html and attachments")
        if isinstance(value, str):
            value = value.strip(" \t")
        if kind not in _ADDRESSES:
            if mailboxes.is_field(kind) and not (
                isinstance(value, str) and compose.is_plain(value)
            ):
                found = _for_ascii(mailboxes.of(value))
                return _Field(kind, name, ", ".join(map(str, found)), found)
            if not isinstance(value, str):
                raise TypeError(f"header field {name} takes a text, not {type(value).__name__}")
            if structured.is_field(kind):
                structured.check(name, value)
            return _Field(kind, name, value, ())
        if kind in _ONE_ADDRESS and isinstance(value, str):
            found = _for_ascii((mailboxes.parse_one(value),))
        else:
            found = _for_ascii(mailboxes.of(value))
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
    def author(self) -> str:
        """The address of the From field, without a display name."""
        return next(iter(self._addresses("from")), "")

    @property
    def to(self) -> list[str]:
        """The addresses of the To field, without display names."""
        return self._addresses("to")

    @property
    def cc(self) -> list[str]:
        """The addresses of the Cc field, without display names."""
        return self._addresses("cc")

    @property
    def recipients(self) -> list[str]:
        """The addresses of To, Cc and Bcc, each once."""
        return list(dict.fromkeys(self._addresses("to", "cc", "bcc")))

    @property
    def envelope_sender(self) -> str:
        """Where bounces go (MAIL FROM): what was set, else the From address; "" is <>, nowhere."""
        if self._envelope_sender is not None:
            return self._envelope_sender
        return self.author or NULL_PATH

    @envelope_sender.setter
    def envelope_sender(self, address: str | Mailbox | None) -> None:
        if self._is_frozen:
            raise self._frozen()
        if isinstance(address, Mailbox):
            address = address.address
        elif address:
            address = parse_mailbox(address, smtputf8=True)
        self._envelope_sender = for_ascii(address) if address else address

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
        content_id: str | None = None,
    ) -> None:
        """Attach a file: see `Attachment`. With ``inline``, the HTML shows it as ``cid:FILENAME``.

        Of two with one file name the second is ``cid:FILENAME.2``. Raises ValueError as that does,
        and for two with one ``content_id``.
        """
        made = Attachment(data, filename, content_type, inline=inline, content_id=content_id)
        self._attach(made)

    def _attach(self, one: Attachment, *, is_ours: bool = True) -> None:
        if self._is_frozen:
            raise self._frozen()
        known = {other.cid for other in self._attachments} - {None}
        if one.cid in known:
            if one.content_id is None:
                number = next(n for n in count(2) if f"{one.cid}.{n}" not in known)
                one = replace(one, content_id=f"{one.cid}.{number}")
            elif is_ours:
                raise ValueError(f"there is an attachment with the content id {one.cid} already")
            else:
                one = replace(one, inline=False, content_id=None)
        self._attachments.append(one)

    def to_bytes(self) -> bytes:
        """The message as it is submitted. Bcc is left out; Date and Message-ID are not made up."""
        utf8 = self.needs_smtputf8
        fields = [_written(one, utf8=utf8) for one in self._fields if one.kind != "bcc"]
        content = self._entity()
        return b"%bMIME-Version: 1.0\r\n%b\r\n%b" % (b"".join(fields), *content)

    def _entity(self) -> Entity:
        alternatives = self._alternatives()
        others = []
        for one in self._attachments:
            if one.is_alternative:
                alternatives.append(one.entity())
            elif self._html is None or not one.inline:
                others.append(one.entity())
        text = alternatives[0]
        if len(alternatives) > 1:
            text = compose.multipart("alternative", alternatives)
        return compose.multipart("mixed", [text, *others]) if others else text

    def _alternatives(self) -> list[Entity]:
        """The text, and the HTML with the pictures that it shows."""
        if self._html is None:
            return [compose.text_entity(self._body or "")]
        from lamson.message.styles import inlined

        text = _text_of(self._html) if self._body is None else self._body
        page = compose.text_entity(inlined(self._html), "text/html")
        shown = [one.entity() for one in self._attachments if one.inline and not one.is_alternative]
        if shown:  # RFC 2387 section 3.1: the type of the part that shows the others
            page = compose.multipart("related", [page, *shown], '; type="text/html"')
        return [compose.text_entity(text), page]


def _text(name: str, text: str | None) -> str | None:
    if text is not None and not isinstance(text, str):
        raise TypeError(f"{name} takes a text, not {type(text).__name__}")
    return text


def _text_of(html: str) -> str:
    from lamson.message.html_text import render

    text, is_whole = render(html)
    if not is_whole:
        log.logger.warning(
            "the HTML of a message is longer than is made into text: its text/plain ends early;"
            " give it a body, or a text template"
        )
    return text


def written_field(name: str, value: Addresses, *, utf8: bool = False) -> bytes:
    """A field as it stands in a message, checked as those of a `MailResponse`."""
    return _written(MailResponse._checked(name, value), utf8=utf8)


def _written(field: _Field, *, utf8: bool) -> bytes:
    _, name, value, found = field
    if not found:
        return structured.field(name, value, utf8=utf8)
    return compose.fold(name, ", ".join(mailbox.encoded(utf8=utf8) for mailbox in found))


def _for_ascii(found: tuple[Mailbox, ...]) -> tuple[Mailbox, ...]:
    for one in found:
        if not one.address.isascii():
            break
    else:
        return found
    return tuple(Mailbox(one.name, for_ascii(one.address)) for one in found)
