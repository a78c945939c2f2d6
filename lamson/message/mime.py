"""The parts of a MIME message, found in bounded time, memory and depth.

For `ParsedMessage`. The email package parses multiparts by recursion and looks at each line once
per level: 3,000 nested parts end in RecursionError, 100,000 parts take many seconds. So the cutting
at boundary lines (RFC 2046 section 5.1) is done here, outermost multipart first, with a list
instead of recursion, to at most `MAX_DEPTH` levels and `MAX_PARTS` parts; what lies deeper or comes
later stays one part, uncut. An attached message is a part, and what it holds comes after it.

Nothing raises; what was wrong is said in `defects`. Wherever a mail program could find parts that
are not found here, or others, the defect hides something.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lamson.message.header import Header
from lamson.message.parameters import Allowance, ContentField
from lamson.message.part import Group, Part
from lamson.message.transfer import IDENTITY

if TYPE_CHECKING:
    from lamson.message.defects import Defects, Kind

MAX_DEPTH = 50
MAX_PARTS = 1000
_MAX_BOUNDARY = 250  # octets; RFC 2046 section 5.1.1 has 70
_MAX_OPENING = 2000  # octets of a part that holds a header alone
_MAX_NOTHING = 1000  # octets of a multipart that are compared with nothing
_CONTENT_TYPE = re.compile(rb"(?im)^content-type[ \t]*:((?:[^\n]|\n[ \t])*)\n")
_MAX_ODD_LINES = 100  # that could be boundary lines and are none, of which the rest is looked at

# A token (RFC 2045 section 5.1): more than RFC 6838 section 4.2 has be registered.
_TYPE = re.compile(r"([\w!#$%&'*+.^`{|}~-]+)\s*+/\s*+([\w!#$%&'*+.^`{|}~-]+)", re.ASCII)
_LIKE_DELIMITER = re.compile(rb"\n--([^\s-][^\r\n]{0,69}|-+[^\s-][^\r\n]{0,60})(?<!-)[ \t]*+\r?\n")
_UNTYPED = ("", "text")  # as old programs have it; RFC 2045 section 5.2: text/plain
# What programs write that is no type, and what they mean by it.
_MEANT = {"multipart": "multipart/mixed", "plain/text": "text/plain", "html": "text/html"}
# These hold fields that tell something, and no message: RFC 3464, 8098, 5965, 6533, 3886.
_REPORTS = frozenset(
    {"message/delivery-status", "message/global-delivery-status", "message/tracking-status"}
    | {"message/disposition-notification", "message/global-disposition-notification"}
    | {"message/feedback-report"}
)


class _Entity(NamedTuple):
    """A message or part that was not cut yet: ``source`` from its header on, to ``end``."""

    source: bytes
    headers: Header
    end: int
    usual: str  # the type where none is declared
    depth: int
    within: Part | None
    group: Group | None = None


class _Cutter:
    """Cuts one message; what it found stands in ``parts``."""

    def __init__(self, source: bytes, headers: Header, defects: Defects) -> None:
        self.parts: list[Part] = []
        self._defects = defects
        self._todo = [_Entity(source, headers, len(source), "text/plain", 0, None)]
        self._boundaries: set[bytes] = set()
        self._odd_lines: list[bytes] = []
        self._budget = len(source)  # octets of messages and multiparts that came encoded
        self._allowance = Allowance()
        self._empty = 0  # multiparts that were left out

    def cut(self) -> None:
        while self._todo:
            entity = self._todo.pop()
            declared = ContentField(entity.headers, "Content-Type", self._defects, self._allowance)
            kind = self._content_type(declared, entity.usual)
            if kind.startswith("multipart/"):
                kind = self._multipart(entity, declared, kind)
            if not kind:
                continue
            part = self._part(entity, kind, declared)
            self.parts.append(part)
            if kind.startswith("message/") and kind not in _REPORTS:
                self._message(entity, part)
        self._judge_odd_lines()

    def _part(self, entity: _Entity, kind: str, declared: ContentField) -> Part:
        return Part(
            entity.source,
            entity.headers,
            entity.end,
            kind,
            self._defects,
            declared=declared,
            within=entity.within,
            group=entity.group,
            allowance=self._allowance,
        )

    def _content_type(self, declared: ContentField, usual: str) -> str:
        if not declared.is_there:
            return usual
        if meant := _MEANT.get(declared.value):
            self._hides(f"not a content type: {declared.value!r}", "malformed")
            return meant
        if found := _TYPE.match(declared.value):
            if found.end() < len(declared.value):
                self._hides(f"not a content type: {declared.value[:40]!r}", "malformed")
            return f"{found[1]}/{found[2]}"
        shown = declared.value[:40]
        self._defects.add(f"not a content type: {shown!r}", hides=shown not in _UNTYPED)
        return "text/plain"

    def _multipart(self, entity: _Entity, declared: ContentField, kind: str) -> str:
        """Cut it; "" where that is done, else the type of the part that it stays."""
        if entity.depth == MAX_DEPTH:
            self._hides(f"parts nested more than {MAX_DEPTH} deep: left uncut", "limit")
            return kind
        source, start, end = entity.source, entity.headers.body, entity.end
        if entity.depth and not source[start:end].strip():
            self._empty += 1
            return ""  # it holds nothing, and hides nothing
        whole = self._part(entity, kind, declared)
        boundaries = [
            octets if _ends_in_blank(source, start, end, octets) else octets.rstrip()
            for octets in declared.octets("boundary")
        ]
        boundaries = [one for one in dict.fromkeys(boundaries) if 0 < len(one) <= _MAX_BOUNDARY]
        if not boundaries:
            self._hides("a multipart without a boundary", "malformed")
            if (guessed := _guessed(source, start, end)) is None:
                return "text/plain"
            boundaries = [guessed]
        boundary = self._boundary(source, start, end, boundaries)
        encoding = whole.transfer_encoding
        if encoding not in IDENTITY:  # against RFC 2045 section 6.4: some undo it, some do not
            self._hides("a multipart with a transfer encoding", "ambiguous")
            if boundary is None and (undone := self._undone(whole)):
                source, start, end = b"\n" + undone, 1, len(undone) + 1
                boundary = self._boundary(source, start, end, boundaries)
        if boundary is None:
            self._hides("a multipart without its boundary line", "malformed")
            boundary = _guessed(source, start, end)
        if boundary is None:
            return "text/plain"
        entity.headers.examine()
        # RFC 2046 section 5.1.5
        usual = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        pieces = self._pieces(source, start, end, boundary)
        if not pieces and end - start < _MAX_NOTHING:
            rest = source[start - 1 : end].replace(b"\n--%b" % boundary, b"")
            if not rest.strip(b"-\r\n\t "):
                self._empty += 1
                return ""
        if not pieces:
            self._hides("a multipart that ends before it begins", "malformed")
            return "text/plain"
        group = Group(kind.removeprefix("multipart/"), entity.group)
        for begin, stop in reversed(pieces):
            headers = Header(source, self._defects, begin, stop)
            self._todo.append(
                _Entity(source, headers, stop, usual, entity.depth + 1, entity.within, group)
            )
        return ""

    def _boundary(
        self, source: bytes, start: int, end: int, boundaries: list[bytes]
    ) -> bytes | None:
        """The one that there is a line of. All are looked for at once, however many there are."""
        if len(boundaries) == 1:
            found = _delimiter(boundaries[0]).search(source, start - 1, end)
            return boundaries[0] if found else None
        longest_first = sorted(boundaries, key=len, reverse=True)
        lines = re.compile(
            rb"\n--((?:%b)(?:--)?)[ \t]*+\r?(?=\n|\Z)" % b"|".join(map(re.escape, longest_first))
        )
        seen: set[bytes] = set()
        for line in lines.finditer(source, start - 1, end):
            seen |= {line[1], line[1].removesuffix(b"--")}
        known = [one for one in boundaries if one in seen]
        if len(known) > 1:
            self._hides("a boundary that can be read in two ways", "ambiguous")
        return known[0] if known else None

    def _pieces(
        self, source: bytes, start: int, end: int, boundary: bytes
    ) -> list[tuple[int, int]]:
        """Where the parts of the multipart body ``source[start:end]`` lie."""
        most = MAX_PARTS - len(self.parts) - len(self._todo) - self._empty
        delimiter = _delimiter(boundary)
        pieces: list[tuple[int, int]] = []
        found = delimiter.search(source, start - 1, end)
        while found is not None and not found[1]:
            begin = found.end()
            following = delimiter.search(source, begin - 1, end)
            if following is None:
                self._defects.add("a multipart without its closing boundary line")
            elif len(pieces) >= most - 1:
                self._hides(f"more than {MAX_PARTS} parts: the rest is left uncut", "limit")
                following = None
            stop = following.start() if following else end
            if following and source[stop - 1 : stop] == b"\r":
                stop -= 1
            if following and _opens(source, begin, stop, boundary):
                # Outlook Express gave a multipart the boundary of the one that it stands in.
                closing = _closing(boundary).search(source, stop, end)
                if closing is not None:
                    stop = closing.end()
                    following = delimiter.search(source, stop - 1, end)
            if stop > begin or following is None:  # nothing is between two boundary lines in a row
                pieces.append((begin, max(begin, stop)))
            found = following
        if found is not None and delimiter.search(source, found.end() - 1, end):
            self._hides("parts after a closing boundary line", "ambiguous")
        if source.find(b"\r--" + boundary, start, end) >= 0:
            self._hides("a boundary line after a bare CR", "ambiguous")
        self._boundaries.add(boundary)
        # RFC 2046 section 5.1.1 has a line that begins with the boundary be a boundary line.
        odd = re.compile(rb"\n--(%b(?!(?:--)?[ \t]*+\r?(?:\n|\Z))[^\n]*+)" % re.escape(boundary))
        at = start - 1
        while len(self._odd_lines) <= _MAX_ODD_LINES and (line := odd.search(source, at, end)):
            self._odd_lines.append(line[1][: 2 * _MAX_BOUNDARY])
            at = line.end()
        return pieces

    def _judge_odd_lines(self) -> None:
        """Others' boundaries may begin like one of them; what is nobody's boundary line may be."""
        for line in self._odd_lines[:_MAX_ODD_LINES]:
            line = line.removesuffix(b"\r").rstrip(b" \t")
            if line not in self._boundaries and line.removesuffix(b"--") not in self._boundaries:
                self._hides("a line that begins like a boundary line", "ambiguous")
        if len(self._odd_lines) > _MAX_ODD_LINES:
            self._hides("a line that begins like a boundary line", "ambiguous")

    def _message(self, entity: _Entity, part: Part) -> None:
        """Put what an attached message holds on the list."""
        if entity.depth == MAX_DEPTH:
            self._hides(f"parts nested more than {MAX_DEPTH} deep: left uncut", "limit")
            return
        if len(self.parts) + len(self._todo) >= MAX_PARTS:
            self._hides(f"more than {MAX_PARTS} parts: the rest is left uncut", "limit")
            return
        source, start, end = entity.source, entity.headers.body, entity.end
        if part.transfer_encoding not in IDENTITY:
            # RFC 2046 section 5.2.1 forbids it, some write it, many undo it.
            if (undone := self._undone(part)) is None:
                return
            if undone != source[start:end]:
                self._hides("an attached message with a transfer encoding", "ambiguous")
            source, start, end = undone, 0, len(undone)
        headers = Header(source, self._defects, start, end)
        self._todo.append(_Entity(source, headers, end, "text/plain", entity.depth + 1, part))

    def _undone(self, part: Part) -> bytes | None:
        """What came encoded, decoded, as long as all of that is no more than the message."""
        content = part.content
        if len(content) > self._budget:
            self._hides("encoded messages in encoded messages: left uncut", "limit")
            return None
        self._budget -= len(content)
        return content

    def _hides(self, text: str, kind: Kind) -> None:
        self._defects.add(text, hides=True, kind=kind)


def cut(source: bytes, headers: Header, defects: Defects) -> list[Part]:
    """The parts of the message ``source``, whose own header is ``headers``, in order."""
    cutter = _Cutter(source, headers, defects)
    cutter.cut()
    nothing = Part(source, headers, headers.body, "text/plain", defects)
    return cutter.parts or [nothing]


def _ends_in_blank(source: bytes, start: int, end: int, boundary: bytes) -> bool:
    """No boundary does (RFC 2046 section 5.1.1), but one that is written so in all its lines."""
    plain = boundary.rstrip()
    if boundary == plain or source.find(b"\n--%b--" % boundary, start - 1, end) < 0:
        return False
    return not re.compile(rb"\n--%b(?:--)?\r?\n" % re.escape(plain)).search(source, start - 1, end)


def _guessed(source: bytes, start: int, end: int) -> bytes | None:
    """The boundary of a multipart that does not say it right: the first line that could be one."""
    found = _LIKE_DELIMITER.search(source, start - 1, end)
    if found is None or source.find(b"\n--%b--" % found[1], found.start(), end) < 0:
        return None
    return found[1]


def _opens(source: bytes, start: int, end: int, boundary: bytes) -> bool:
    """True where a part has nothing but a header, which declares a multipart of this boundary.

    Of any other the boundary lines that follow are its siblings', whatever its fields say.
    """
    if end - start > _MAX_OPENING or source.find(boundary, start, end) < 0:
        return False
    header, _, body = source[start:end].replace(b"\r\n", b"\n").partition(b"\n\n")
    fields = _CONTENT_TYPE.findall(header + b"\n")
    if body.strip() or len(fields) != 1 or not fields[0].lstrip().lower().startswith(b"multipart/"):
        return False
    declares = rb'(?i)\bboundary[ \t]*=[ \t]*"?%b["\s]' % re.escape(boundary)
    return bool(re.search(declares, fields[0] + b"\n"))


def _closing(boundary: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\n--%b--[ \t]*+\r?(?:\n|\Z)" % re.escape(boundary))


def _delimiter(boundary: bytes) -> re.Pattern[bytes]:
    # The line end before a boundary line belongs to it (RFC 2046 section 5.1.1).
    return re.compile(rb"\n--%b(--)?[ \t]*+\r?(?:\n|\Z)" % re.escape(boundary))
