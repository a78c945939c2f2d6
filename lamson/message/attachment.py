"""What is attached to a message that we send: files, pictures in the HTML, calendars, messages.

For `MailResponse`. An attachment is checked when it is made, so that it cannot fail when the
message is written: a name with control characters, or a type that is none, raises ValueError.
"""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

from lamson.message import compose
from lamson.message.enclosed import as_lines

if TYPE_CHECKING:
    from lamson.message.compose import Entity
    from lamson.message.message import Message
    from lamson.message.part import Part

_CONTENT_TYPE = re.compile(
    r'[\w!#$&^.+-]+/[\w!#$&^.+-]+(?: *; *[\w.-]+=(?:[\w.+-]+|"[^"\\\x00-\x1f\x7f-\U0010ffff]*"))*',
    re.ASCII,
)
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")
_METHOD = re.compile(r"^METHOD:([A-Za-z-]{1,30})[ \t]*\r?$", re.MULTILINE)
_CHARSET = re.compile(r"; *charset=", re.IGNORECASE)
_CHARSET_SAID = re.compile(r'; *charset=(?:"[^"]*"|[\w.+-]*)', re.IGNORECASE)
_MAX_NAME = 255  # octets in UTF-8


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message.

    A ``str`` of a text type is sent as UTF-8 text, whatever charset its type names, its line ends
    normalised; ``bytes`` stay as they are. With ``inline``, the HTML shows it as ``cid:FILENAME``,
    or by ``content_id`` where that is given (RFC 2392). A calendar with a method, such as
    ``text/calendar; method=REQUEST``, stands among the alternatives, where mail programs look for
    invitations (RFC 6047 section 2.4); the method may be said by its content alone. Raises
    ValueError for a wrong type, and for a file name that is empty, longer than 255 octets in UTF-8,
    or holds control characters; TypeError for data that is neither bytes nor a text, such as an
    open file.
    """

    data: bytes | str
    filename: str
    content_type: str = "application/octet-stream"
    inline: bool = field(default=False, kw_only=True)
    content_id: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        name, kind = self.filename, self.content_type
        if isinstance(self.data, bytearray | memoryview):
            object.__setattr__(self, "data", bytes(self.data))
        elif not isinstance(self.data, bytes | str):
            raise TypeError(f"an attachment is bytes or a text, not {type(self.data).__name__}")
        for text in (name, kind):
            if not isinstance(text, str):
                raise TypeError(
                    f"an attachment's name and type are texts, not {type(text).__name__}"
                )
        if not name.strip() or _CONTROL.search(name) or len(name.encode()) > _MAX_NAME:
            raise ValueError(f"not a file name for an attachment: {name[:80]!r}")
        # A multipart may not be encoded (RFC 2045 section 6.4).
        is_whole = not kind.lower().startswith("multipart/")
        if len(kind) > 200 or not (is_whole and _CONTENT_TYPE.fullmatch(kind)):
            raise ValueError(f"not a content type such as image/png: {kind[:80]!r}")
        if self.content_id is not None:
            bare = self.content_id.removeprefix("<").removesuffix(">")
            if not _CONTENT_ID.fullmatch(bare):
                raise ValueError(f"not a content id such as logo@example.com: {bare[:80]!r}")
            object.__setattr__(self, "content_id", bare)

    @property
    def cid(self) -> str | None:
        """The content id, without angle brackets, None where it has none."""
        if self.content_id is None and self.inline:
            return quote(self.filename, safe="")
        return self.content_id

    @property
    def is_alternative(self) -> bool:
        """Whether it is another form of the text: an invitation."""
        return _kind(self.content_type) == "text/calendar" and (
            "method=" in self.content_type.lower() or _METHOD.search(self._text()) is not None
        )

    def _text(self) -> str:
        return self.data if isinstance(self.data, str) else self.data.decode("utf-8", "replace")

    def entity(self) -> Entity:
        """As it stands in the message."""
        data, kind = self.data, self.content_type
        if self.is_alternative:
            return self._invitation()
        fields = compose.disposition("inline" if self.inline else "attachment", self.filename)
        if self.cid is not None:
            fields += compose.fold("Content-ID", f"<{self.cid}>")
        if _kind(kind) in ("message/rfc822", "message/global"):
            message = data.encode() if isinstance(data, str) else data
            return compose.plain_entity(as_lines(message), kind, fields)
        if isinstance(data, bytes):
            return compose.data_entity(data, kind, fields)
        if kind.lower().startswith("text/"):
            return compose.text_entity(data, _CHARSET_SAID.sub("", kind), fields)
        return compose.data_entity(data.encode("utf-8", "replace"), kind, fields)

    def _invitation(self) -> Entity:
        """RFC 6047 section 2.4: the type names the method, as the calendar does."""
        text, kind = self._text(), _CHARSET.split(self.content_type)[0]
        if "method=" not in kind.lower():
            found = _METHOD.search(text)
            kind += f"; method={found[1].upper()}" if found else ""
        return compose.text_entity(text, kind + compose.parameter("name", self.filename))


Attachable: TypeAlias = "Attachment | Part | Message"
"""What can be attached: a new file, a part of a message that came, a whole one."""


def of(one: Attachable) -> Attachment:
    """The attachment that ``one`` makes; what came from a stranger never makes this raise."""
    if isinstance(one, Attachment):
        return one
    if (raw := getattr(one, "raw", None)) is not None:
        return Attachment(raw, "message.eml", "message/rfc822")
    if not hasattr(one, "content_type"):
        raise TypeError(
            f"{type(one).__name__} cannot be attached: give an Attachment, a Part or a MailRequest"
        )
    return _of_part(one)  # type: ignore[arg-type]  # a Part, by what it has


def _of_part(part: Part) -> Attachment:
    kind = part.content_type
    if kind.startswith("multipart/") or len(kind) > 100 or not _CONTENT_TYPE.fullmatch(kind):
        kind = "application/octet-stream"
    data: bytes | str = part.content
    if kind.startswith("text/"):
        data = part.text
    suffix = ".eml" if kind == "message/rfc822" else mimetypes.guess_extension(kind) or ""
    name = _CONTROL.sub("", part.filename or "").strip() or f"attachment{suffix}"
    while len(name.encode()) > _MAX_NAME:
        stem, dot, end = name.rpartition(".")
        name = f"{stem[:-1]}.{end}" if dot and stem and len(end) < 20 else name[:-1]
    raw = next(part.headers.raw("Content-ID"), b"").decode("ascii", "replace").strip(" \t\r\n<>")
    cid = raw if _CONTENT_ID.fullmatch(raw) else None
    return Attachment(data, name, kind, inline=cid is not None, content_id=cid)


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
