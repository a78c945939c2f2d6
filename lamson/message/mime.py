"""The parts of a MIME message, found in bounded time and depth.

For `ParsedMessage`. The email package parses multiparts by recursion and looks at each line once
per level: 3,000 nested parts end in RecursionError, 100,000 parts take many seconds. So the cutting
at boundary lines (RFC 2046 section 5.1) is done here, outermost multipart first, with a list
instead of recursion, to at most `MAX_DEPTH` levels and `MAX_PARTS` parts; what lies deeper or comes
later stays one part, uncut. The parameters of a part's own fields are left to the email package,
which is given `MAX_PARAMETERS` octets at most. An attached message is one part and never looked
into.

Nothing raises; what was wrong is said in `defects`.
"""

from __future__ import annotations

import binascii
import re
from email.message import Message
from typing import TYPE_CHECKING

from lamson.message import charset
from lamson.message.encoded_words import decode_words, unfold
from lamson.message.header import Header

if TYPE_CHECKING:
    from lamson.message.defects import Defects

MAX_DEPTH = 50
MAX_PARTS = 1000
MAX_PARAMETERS = 2048  # octets of a Content-Type or Content-Disposition field that are parsed
MAX_SEMICOLONS = 64  # in such a field: the email package takes time quadratic in them

_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)  # RFC 6838 section 4.2
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_MAY_HOLD_WORDS = ("filename", "name")  # against RFC 2047 section 5, and common
_NEWLINE = re.compile("\r\n?")
_PATH = re.compile(r".*[/\\]", re.DOTALL)
_CONTINUED = re.compile(r";\s*\w+\*[0-9]+\*?\s*=[^;]*")  # RFC 2231 section 3
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f]")


class Part:
    """One part of a message that holds no further parts. Every attribute is total.

    ``content_type`` is in lower case, such as ``"text/plain"``; ``headers`` are the part's own.
    """

    __slots__ = ("_content", "_defects", "_end", "_source", "_start", "content_type", "headers")

    def __init__(
        self, source: bytes, headers: Header, end: int, content_type: str, defects: Defects
    ) -> None:
        self.headers = headers
        self.content_type = content_type
        self._source, self._start, self._end = source, headers.body, end
        self._content: bytes | None = None
        self._defects = defects

    def __repr__(self) -> str:
        return f"<Part {self.content_type} {self.filename or ''}>"

    @property
    def content(self) -> bytes:
        """The content, its transfer encoding undone (RFC 2045 section 6)."""
        if self._content is None:
            data = self._source[self._start : self._end]
            encoding = (self.headers.get("Content-Transfer-Encoding") or "").strip().lower()
            self._content = self._undone(data, encoding)
        return self._content

    @property
    def text(self) -> str:
        r"""The content as text of the part's charset, lines ending in ``\n``."""
        name = parameter(self.headers, "Content-Type", "charset", self._defects) or ""
        return _NEWLINE.sub("\n", charset.decode(self.content, name, self._defects, str(self)))

    @property
    def filename(self) -> str | None:
        """The name that the sender gave to the part, without any directories."""
        name = parameter(self.headers, "Content-Disposition", "filename", self._defects)
        name = name or parameter(self.headers, "Content-Type", "name", self._defects)
        name = _UNPRINTABLE.sub("", _PATH.sub("", name or "")).strip()
        return None if name in ("", ".", "..") else name

    @property
    def is_attachment(self) -> bool:
        """True for all but the texts that a mail reader would show (RFC 2183)."""
        disposition = (self.headers.get("Content-Disposition") or "").partition(";")[0]
        return (
            disposition.strip().lower() == "attachment"
            or self.content_type not in ("text/plain", "text/html")
            or self.filename is not None
        )

    def __str__(self) -> str:
        return f"part {self.content_type}"

    def _undone(self, data: bytes, encoding: str) -> bytes:
        if encoding == "quoted-printable":
            return binascii.a2b_qp(data)
        if encoding == "base64":
            try:
                return binascii.a2b_base64(data)
            except binascii.Error:
                self._defects.add(f"{self}: bad base64")
                letters = _NOT_BASE64.sub(b"", data)
                return binascii.a2b_base64(
                    letters[: len(letters) - (len(letters) % 4 == 1)] + b"=="
                )
        if encoding not in ("", "7bit", "8bit", "binary"):
            self._defects.add(f"{self}: unknown transfer encoding {encoding[:40]!r}")
        return data


def cut(source: bytes, headers: Header, defects: Defects) -> list[Part]:
    """The parts of the message ``source``, whose own header is ``headers``, in order."""
    parts: list[Part] = []
    todo = [(headers, len(source), "text/plain", 0)]
    while todo:
        headers, end, usual, depth = todo.pop()
        kind = _content_type(headers, usual, defects)
        if kind.startswith("multipart/"):
            boundary = parameter(headers, "Content-Type", "boundary", defects)
            if depth == MAX_DEPTH:
                defects.add(f"parts nested more than {MAX_DEPTH} deep: left uncut")
            elif pieces := _pieces(
                source, headers.body, end, boundary, MAX_PARTS - len(parts) - len(todo), defects
            ):
                # RFC 2046 section 5.1.5
                usual = "message/rfc822" if kind == "multipart/digest" else "text/plain"
                for start, stop in reversed(pieces):
                    todo.append((Header(source, defects, start, stop), stop, usual, depth + 1))
                continue
            else:
                kind = "text/plain"
        parts.append(Part(source, headers, end, kind, defects))
    return parts


def _pieces(
    source: bytes, start: int, end: int, boundary: str | None, most: int, defects: Defects
) -> list[tuple[int, int]]:
    """Where the parts of the multipart body ``source[start:end]`` lie, at most ``most`` of them."""
    if not boundary:
        defects.add("a multipart without a boundary")
        return []
    # The line end before a boundary line belongs to it (RFC 2046 section 5.1.1).
    mark = re.escape(boundary.encode())
    delimiter = re.compile(rb"\n--%b(--)?[ \t]*+\r?(?:\n|\Z)" % mark)
    pieces: list[tuple[int, int]] = []
    found = delimiter.search(source, start - 1, end)
    if found is None:
        defects.add("a multipart without its boundary line")
    while found is not None and not found[1]:
        begin = found.end()
        following = delimiter.search(source, begin - 1, end)
        if following is None:
            defects.add("a multipart without its closing boundary line")
        elif len(pieces) == most - 1:
            defects.add(f"more than {MAX_PARTS} parts: the rest is left uncut")
            following = None
        stop = following.start() if following else end
        if following and source[stop - 1 : stop] == b"\r":
            stop -= 1
        pieces.append((begin, max(begin, stop)))
        found = following
    return pieces


def _content_type(headers: Header, usual: str, defects: Defects) -> str:
    value = headers.get("Content-Type")
    if value is None:
        return usual
    kind = value.partition(";")[0].strip().lower()
    if _TYPE.fullmatch(kind):
        return kind
    defects.add(f"not a content type: {kind[:40]!r}")
    return "text/plain"  # RFC 2045 section 5.2


def parameter(headers: Header, field: str, name: str, defects: Defects) -> str | None:
    """A parameter of a Content-… field, RFC 2231 forms decoded; None where there is none."""
    for raw in headers.raw(field):
        if name.encode() not in raw.lower():
            return None
        value = unfold(raw)
        if len(value) > MAX_PARAMETERS or value.count(b";") > MAX_SEMICOLONS:
            defects.add(f"{field}: longer than anybody needs, the rest was not read")
            value = b";".join(value[:MAX_PARAMETERS].split(b";", MAX_SEMICOLONS)[:MAX_SEMICOLONS])
        text = charset.decode(value, "", defects, field)
        try:
            found = _found(text, field, name)
        except TypeError:  # the email package cannot put name*= and name*0= in one order
            defects.add(f"{field}: a parameter in one piece and in several, which were not read")
            found = _found(_CONTINUED.sub("", text), field, name)
        if isinstance(found, tuple):  # charset, language, octets as Latin-1: RFC 2231 section 4
            octets = found[2].encode("latin-1", "replace")
            return charset.decode(octets, found[0] or "", defects, field)
        if found and "=?" in found and name in _MAY_HOLD_WORDS:
            return decode_words(found.encode(), defects, field)
        return found
    return None


def _found(value: str, field: str, name: str) -> str | tuple[str | None, str | None, str] | None:
    parsed = Message()
    parsed[field] = value
    return parsed.get_param(name, header=field)
