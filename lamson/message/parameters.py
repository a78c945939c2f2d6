"""A Content-… field of a part, taken apart: its value and its parameters (RFC 2045 section 5.1).

For `Part` and for the cutting of multiparts. Linear and total. Mail programs differ in how they
read what the syntax does not allow, or allows and nobody writes: quotes that do not end, comments,
parameters that stand there twice or in pieces (RFC 2231). So there is one `text` of a parameter,
and all its `readings`: a file name that any program may take stands among those. What is wrong, and
what hides something, is said in `defects`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from lamson.message import charset
from lamson.message.encoded_words import decode_words, unfold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lamson.message.defects import Defects
    from lamson.message.header import Header

MAX_FIELD = 1 << 16  # octets of a field that are taken apart
MAX_PARAMETERS = 1000  # of a field
MAX_IN_ALL = 10_000  # of all fields of a message: each takes a hundred times what it came in
_MAX_READINGS = 20  # of one parameter

_FILE_NAMES = ("filename", "name")
_SPECIAL = re.compile(r'["();\\]')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)\\?"?', re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_PAIR_OF_QUOTES = re.compile(r'\\(["\\])')
_NAME = re.compile(r"([^*]+)(?:\*([0-9]{1,3}))?(\*)?")  # RFC 2231 sections 3 and 4
_BLANK_OR_COMMA = re.compile(r"[\s,]")
_FIRST_WORD = re.compile(r"[^\s(]*+")
_TOKEN = re.compile(r"""[^\s()<>@,;:\\"/\[\]?=*'%]*+""")  # RFC 2045 section 5.1, RFC 2231 section 7


class _Parameter(NamedTuple):
    name: str
    section: int | None  # of a parameter in pieces
    extended: bool  # percent-encoded, with a charset in its first piece
    raw: str  # as it stands there, each octet a character


class Allowance:
    """How many ``more`` parameters of one message are kept, whichever of its fields has them."""

    __slots__ = ("more",)

    def __init__(self) -> None:
        self.more = MAX_IN_ALL


class ContentField:
    """The first field called ``name`` of a header; ``value`` is "" where there is none.

    ``value`` is what stands before the parameters, in lower case, without comments. Fields that are
    kept share the ``allowance`` of their message.
    """

    __slots__ = ("_allowance", "_defects", "_name", "_parameters", "is_there", "value")

    def __init__(
        self, headers: Header, name: str, defects: Defects, allowance: Allowance | None = None
    ) -> None:
        self._name = name
        self._allowance = Allowance() if allowance is None else allowance
        self._defects = defects
        self._parameters: list[_Parameter] = []
        self.value = ""
        raw = next(headers.raw(name), None)
        self.is_there = raw is not None
        if raw:
            self._parse(unfold(raw))

    def _parse(self, raw: bytes) -> None:
        if len(raw) > MAX_FIELD:
            self._too_long()
        text = raw[:MAX_FIELD].decode("latin-1").replace("\0", "")
        if "=" not in text and not _SPECIAL.search(text):
            self.value = text.strip().lower()
            return
        segments, is_whole = _segments(text)
        if not is_whole:
            self._defects.add(
                f"{self._name}: a quote or comment without an end", hides=True, kind="ambiguous"
            )
            segments += text.split(";")[1:]
        self.value = _without_comments(segments[0]).strip().lower()
        seen: dict[tuple[str, int | None, bool], str] = {}
        begin = 0 if "=" in segments[0] else 1  # some look for a parameter there, too
        most = min(MAX_PARAMETERS, self._allowance.more)
        for segment in segments[begin : most + 1]:
            left, equals, value = segment.partition("=")
            if segment is segments[0]:  # behind the value, with no semicolon between
                left = _BLANK_OR_COMMA.split(left)[-1]
            if left.count("(") != left.count(")"):  # an equals sign in a comment
                left, equals, value = _without_comments(segment).partition("=")
            found = _NAME.fullmatch(_without_comments(left).strip().lower())
            if not equals or found is None:
                continue
            if not _TOKEN.fullmatch(found[1]):
                self._defects.add(
                    f"{self._name}: not the name of a parameter: {found[1][:40]!r}", hides=True
                )
            section = None if found[2] is None else int(found[2])
            one = _Parameter(found[1], section, found[3] is not None, value.strip())
            if seen.setdefault(one[:3], one.raw) != one.raw and is_whole:
                self._defects.add(
                    f"{self._name}: parameter {one.name[:40]} stands there twice",
                    hides=True,
                    kind="ambiguous",
                )
            self._parameters.append(one)
        self._allowance.more -= len(self._parameters)
        if len(segments) > most + 1:
            self._too_long()
        whole = {
            name for name, section, extended, _ in self._parameters if extended and section is None
        }
        if any(one.name in whole for one in self._parameters if one.section is not None):
            self._defects.add(
                f"{self._name}: a parameter in one piece and in several, which were not read",
                hides=True,
                kind="ambiguous",
            )

    def _too_long(self) -> None:
        self._defects.add(
            f"{self._name}: longer than anybody needs, the rest was not read",
            hides=True,
            kind="limit",
        )

    def text(self, name: str) -> str | None:
        """The parameter as RFC 2045 and 2231 would have it; None where there is none."""
        if not self._parameters:
            return None
        return next((self._text(name, *one) for one in self._octets(name)), None)

    def readings(self, name: str) -> list[str]:
        """Each text that a mail program may read as the parameter, the likeliest first."""
        if not self._parameters:
            return []
        texts: dict[str, None] = {}
        for octets, declared in self._octets(name):
            texts[self._text(name, octets, declared)] = None
            if len(texts) == _MAX_READINGS:
                self._too_long()
                break
        return list(texts)

    def octets(self, name: str) -> list[bytes]:
        """The same in octets, as they came."""
        return list(dict.fromkeys(octets for octets, _ in self._octets(name)))[:_MAX_READINGS]

    def _text(self, name: str, octets: bytes, declared: str | None) -> str:
        text = charset.decode(octets, declared or "", self._defects, self._name)
        if declared is None and "=?" in text and name in _FILE_NAMES:
            # Against RFC 2047 section 5, and common.
            text = decode_words(text.encode(), self._defects, self._name)
            if "=?" in text:
                self._defects.add(
                    f"{self._name}: a file name in encoded words that cannot be read",
                    hides=True,
                    kind="malformed",
                )
        return text

    def _octets(self, name: str) -> Iterator[tuple[bytes, str | None]]:
        """Each reading, with the charset that it was written in; None where that is not told."""
        ours = [one for one in self._parameters if one.name == name]
        for one in ours:
            if one.extended and one.section is None:
                yield _extended(_strict(one.raw))
        pieces = sorted((one for one in ours if one.section is not None), key=_section)
        if pieces:
            yield _joined(pieces, _strict)
            yield _joined(pieces, _token)
        plain = [one.raw for one in ours if one.section is None and not one.extended]
        usual = _as_file_name if name in _FILE_NAMES else _strict
        for raw in plain:
            yield usual(raw).encode("latin-1"), None
        for raw in plain:
            for text in _otherwise(raw):
                yield text.encode("latin-1"), None


def _segments(text: str) -> tuple[list[str], bool]:
    """The text between its semicolons, and whether each quote and comment has an end."""
    segments: list[str] = []
    start = depth = skipped = 0
    is_quoted = False
    for found in _SPECIAL.finditer(text):
        at, special = found.start(), found[0]
        if at < skipped:
            continue
        if special == "\\":
            if is_quoted or depth:
                skipped = at + 2
        elif is_quoted:
            is_quoted = special != '"'
        elif special == "(":
            depth += 1
        elif depth:
            depth -= special == ")"
        elif special == '"':
            is_quoted = True
        elif special == ";":
            segments.append(text[start:at])
            start = at + 1
    segments.append(text[start:])
    return segments, not (is_quoted or depth)


def _without_comments(text: str) -> str:
    """The text without comments (RFC 5322 section 3.2.2), which may be nested."""
    if "(" not in text:
        return text
    kept: list[str] = []
    start = depth = skipped = 0
    for found in _SPECIAL.finditer(text):
        at, special = found.start(), found[0]
        if at < skipped:
            continue
        if special == "\\" and depth:
            skipped = at + 2
        elif special == "(":
            if not depth:
                kept.append(text[start:at])
            depth += 1
        elif special == ")" and depth:
            depth -= 1
            start = at + 1
    if not depth:
        kept.append(text[start:])
    return "".join(kept)


def _strict(raw: str) -> str:
    """A parameter's value: a quoted string or a token, maybe with comments around."""
    text = _without_comments(raw).strip() if raw.startswith("(") else raw
    if quoted := _QUOTED.match(text):
        return _PAIR.sub(r"\1", quoted[1])
    return _without_comments(text).strip()


def _as_file_name(raw: str) -> str:
    r"""The same as most take a file name: ``x(1).txt``, ``"C:\dir\x.txt"``."""
    quoted = _QUOTED.match(raw)
    return _PAIR_OF_QUOTES.sub(r"\1", quoted[1]) if quoted else raw


def _otherwise(raw: str) -> Iterator[str]:
    """The values that others read there: with comments, backslashes or blanks, or without."""
    quoted = _QUOTED.match(raw)
    if quoted is None or quoted.end() < len(raw):
        yield raw
    yield from (_strict(raw), _as_file_name(raw))
    if quoted is None and (first := _FIRST_WORD.match(raw)):
        yield first[0]
        yield _token(raw)


def _token(raw: str) -> str:
    """The same for who takes a token at its word and leaves the rest."""
    token = _TOKEN.match(raw)
    return token[0] if token and token[0] else _strict(raw)


def _section(one: _Parameter) -> int:
    return one.section or 0


def _extended(value: str) -> tuple[bytes, str]:
    """``utf-8'en'text``, percent-encoded (RFC 2231 section 4)."""
    declared, quote, rest = value.partition("'")
    _, second, text = rest.partition("'")
    if not (quote and second):
        declared, text = "", value
    return unquote_to_bytes(text.encode("latin-1")), declared


def _joined(pieces: list[_Parameter], read: Callable[[str], str]) -> tuple[bytes, str | None]:
    """A parameter in pieces, put together (RFC 2231 section 3)."""
    joined: list[bytes] = []
    declared: str | None = None
    known: set[int] = set()
    for one in pieces:
        if _section(one) in known:
            continue
        known.add(_section(one))
        value = _strict(one.raw) if one.extended else read(one.raw)
        if not one.extended:
            joined.append(value.encode("latin-1"))
            continue
        if not joined:
            octets, declared = _extended(value)
            joined.append(octets)
        else:
            joined.append(unquote_to_bytes(value.encode("latin-1")))
    return b"".join(joined), declared
