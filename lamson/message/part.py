"""One part of a message: its type, its names, its content, its text.

For handlers and filters, who get parts from `MailRequest`. Nothing raises; what was wrong is said
in the defects of the message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.message import charset
from lamson.message.encoded_words import unfold
from lamson.message.parameters import ContentField
from lamson.message.transfer import IDENTITY, undo

if TYPE_CHECKING:
    from lamson.message.defects import Defects
    from lamson.message.header import Header
    from lamson.message.message import Message
    from lamson.message.parameters import Allowance

# What mail programs open and nobody here does: Outlook's winmail.dat, a message in pieces or kept
# elsewhere (RFC 2046 section 5.2), what is signed or encrypted in one piece (RFC 8551).
_OPAQUE = frozenset(
    {"application/ms-tnef", "application/vnd.ms-tnef", "message/partial", "message/external-body"}
    | {"application/pkcs7-mime", "application/x-pkcs7-mime"}
)
_TEXTS = ("text/plain", "text/html")
# What some readers show in place of a text that stands beside it, and nobody saves.
_OTHER_FORMS = frozenset(
    {"text/enriched", "text/richtext", "text/markdown", "text/watch-html", "text/x-amp-html"}
)
_MESSAGES = ("message/rfc822", "message/global", "message/rfc2822", "message/news")
_USUAL_ENCODINGS = {
    encoding.encode(): encoding for encoding in (*IDENTITY, "base64", "quoted-printable")
}
_NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_BLANKS = re.compile(r"\s+")
_TABS = re.compile(r"\t+ *")  # of a fold
_PATH = re.compile(r"[/\\]")
_FIRST_WORD = re.compile(r"[\s,]")
_TOKEN = re.compile(r"[!#$%&'*+.^`|~\w-]*+", re.ASCII)
_UUENCODED = re.compile(rb"^begin(?:-base64)? [0-7]{3,4} [^\r\n]+\r?\n[!-`]", re.MULTILINE)


class Group:
    """A multipart: what its parts are to one another, such as ``"alternative"``.

    ``outer`` is the multipart that it is a part of, None for that of the message itself.
    """

    __slots__ = ("kind", "outer")

    def __init__(self, kind: str, outer: Group | None) -> None:
        self.kind = kind
        self.outer = outer


class Part:
    """One part of a message, with no further parts in it, or an attached message.

    ``content_type`` is in lower case, such as ``"text/plain"``; ``headers`` are the part's own.
    ``within`` is the part with the attached message that this one belongs to, None for those of the
    message itself. Every attribute is total.
    """

    __slots__ = (
        *("_content", "_defects", "_disposition", "_end", "_filenames"),
        *("_source", "_start", "_type"),
        *("content_type", "group", "headers", "within"),
    )

    def __init__(
        self,
        source: bytes,
        headers: Header,
        end: int,
        content_type: str,
        defects: Defects,
        *,
        declared: ContentField | None = None,
        within: Part | None = None,
        group: Group | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        self.headers = headers
        self.content_type = content_type
        self.within = within
        self.group = group
        self._source, self._start, self._end = source, headers.body, end
        self._content: bytes | None = None
        self._defects = defects
        self._type = declared or ContentField(headers, "Content-Type", defects, allowance)
        self._disposition = ContentField(headers, "Content-Disposition", defects, allowance)
        self._filenames: list[str] | None = None

    def __repr__(self) -> str:
        return f"<Part {self.content_type} {self.filename or ''}>"

    def __str__(self) -> str:
        return f"part {self.content_type}"

    @property
    def transfer_encoding(self) -> str:
        """How the content came (RFC 2045 section 6), in lower case, "" where nothing is said."""
        raw = next(self.headers.raw("Content-Transfer-Encoding"), b"").lower()
        if (usual := _USUAL_ENCODINGS.get(raw)) is not None:
            return usual
        field = ContentField(self.headers, "Content-Transfer-Encoding", self._defects)
        value = field.value.replace('"', "").strip("' \t")
        token = _TOKEN.match(value)
        return token[0] if token else ""

    @property
    def content(self) -> bytes:
        """The content, its transfer encoding undone (RFC 2045 section 6)."""
        if self._content is None:
            encoding = self.transfer_encoding
            data = memoryview(self._source)[self._start : self._end]
            content = undo(data, encoding, self._defects, str(self))
            if encoding in IDENTITY:  # it stands in the message, and needs not be kept twice
                return content
            self._content = content
        return self._content

    @property
    def text(self) -> str:
        r"""The content as text of the part's charset, lines ending in ``\n``."""
        content = self.content
        declared = (self._type.text("charset") or "").strip("\"' \t")
        if self.content_type == "text/html" and not charset.is_told(declared):
            declared = charset.of_html(content) or declared
        return charset.decode_lines(content, declared, self._defects, str(self))

    @property
    def filename(self) -> str | None:
        """The name that the sender gave to the part, without any directories."""
        names = self.filenames
        return names[0] if names else None

    @property
    def filenames(self) -> list[str]:
        """Each name that a mail program may give to the part, the likeliest first.

        Most parts have one at most. Programs differ in whether filename= or name= counts, and in
        what is meant by what is malformed: who forbids a kind of file has to look at all of them.
        """
        if self._filenames is None:
            readings = [
                *self._disposition.readings("filename"),
                *self._type.readings("name"),
                *self._disposition.readings("name"),  # some mix the two up
                *self._type.readings("filename"),
            ]
            names = filter(None, map(_file_name, readings))
            self._filenames = list(dict.fromkeys(names))
        return self._filenames.copy()

    @property
    def content_id(self) -> str | None:
        """The Content-ID without its angle brackets, as ``cid:`` in HTML names it; else None."""
        raw = next(self.headers.raw("Content-ID"), b"")
        text = _BLANKS.sub("", unfold(raw).decode("utf-8", "replace")).strip("<>")
        return text or None

    @property
    def message(self) -> Message | None:
        """An attached message (RFC 2046 section 5.2.1) as a message; None for other parts."""
        if self.content_type not in _MESSAGES:
            return None
        from lamson.message.message import Message  # which knows parts

        return Message(self.content)

    @property
    def is_shown(self) -> bool:
        """True for a text that a mail reader shows below the header, whatever it is called."""
        return self.content_type in _TEXTS and not self.is_declared_attachment

    @property
    def is_declared_attachment(self) -> bool:
        """True where the part says so itself (RFC 2183 section 2.2)."""
        return _FIRST_WORD.split(self._disposition.value, 1)[0] == "attachment"

    def parameter(self, name: str) -> str:
        """A parameter of the Content-Type, such as ``format``, in lower case; "" without it."""
        return (self._type.text(name) or "").lower()

    @property
    def is_attachment(self) -> bool:
        """True for all but the texts that a mail reader would show and not offer to save.

        A text with a file name that is not declared to be an attachment is both (see `is_shown`).
        """
        if self.is_declared_attachment or self.filename is not None:
            return True
        if self.content_type in _OTHER_FORMS:
            return self.group is not None and self.group.kind != "alternative"
        return self.content_type not in _TEXTS

    def examine(self) -> None:
        """Read all of it, so that each defect is found."""
        self.headers.examine()
        if not _TOKEN.fullmatch(self._disposition.value):  # may name a file to some
            shown = self._disposition.value[:40]
            self._defects.add(f"not a disposition: {shown!r}", hides=True, kind="malformed")
        content = self.content
        if self.content_type.startswith("text/"):
            _ = self.text
            if _UUENCODED.search(content):
                self._defects.add(
                    f"{self}: uuencoded data, which is not taken out", hides=True, kind="opaque"
                )
        if self.content_type in _OPAQUE or "winmail.dat" in map(str.lower, self.filenames):
            self._defects.add(f"{self}: not looked into", hides=True, kind="opaque")


def _file_name(text: str) -> str:
    """The last name of a path, as safe to show as a name can be; "" where there is none."""
    parts = _PATH.split(_NOT_IN_NAMES.sub("", _TABS.sub(" ", text)))
    names = (part.strip().rstrip(". ") for part in reversed(parts))  # Windows drops blanks and dots
    return next(filter(None, names), "")
