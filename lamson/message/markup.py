"""HTML as the tree that it is, in linear time, however it is written.

For `html_text`. `walk` tells a visitor of each element as it begins and ends and of each text, in
order, as a parser that builds a tree would find them: elements that may be left open are closed
where HTML has it so, an end tag without a beginning closes nothing, what is in a comment, a script
or the value of an attribute is no text. Tokens are those of the HTML standard (section 13.2.5).

The trees that libraries build take quadratic time (see docs/decisions/0023): lexbor 18 s for 20,000
``<span>`` and as many ``<div>``, justhtml 14 s for 2,000 ``<font>`` with a ``<p>`` in each; libxml2
stops at a depth of 2,048 and loses the rest. Here only the elements that are open are kept, at most
`MAX_DEPTH` of them; those within them are told of as if they were beside one another.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 200
MAX_TAGS = 20_000  # that are looked at
_MAX_ATTRIBUTES = 100  # of an element

# A quantifier that has matched is never tried otherwise: each token is read once.
_ATTRIBUTES = (
    r"(?>(?:[\s/]++|=?[^\s/>=]++(?:\s*+=\s*+"
    r"(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|(?![\"'])[^\s>]++)?)?|=){0,500})"
)
_TOKEN = re.compile(
    r"(?P<comment><!--(?:-?>|.*?(?:--!?>|\Z)))"
    r"|(?P<bogus><(?:[!?]|/(?![a-z]))[^>]*+(?:>|\Z))"
    rf"|<(?P<end>/?)(?P<name>[a-z][^\s/>]*+)(?P<attributes>{_ATTRIBUTES})(?P<closed>>?)",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE = re.compile(
    r"(=?[^\s/>=]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"?|'([^']*+)'?|([^\s>]++))?)?", re.DOTALL
)

VOID = frozenset(
    {"area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input"}
    | {"keygen", "link", "meta", "param", "source", "track", "wbr"}
)
_RAW = frozenset(
    {"iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp", "plaintext"}
)
_RAW_END = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _RAW - {"plaintext"}
}
BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details"}
    | {"dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "legend", "li"}
    | {"listing", "main", "menu", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody"}
    | {"td", "tfoot", "th", "thead", "tr", "ul", "xmp", "plaintext", "search", "optgroup", "option"}
)
_CELLS = ("td", "th")
_TABLE = frozenset({"table", "caption", "tbody", "thead", "tfoot", "tr", *_CELLS})
# What a beginning element closes, and what it does not reach across.
_CLOSES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset({"li"}), frozenset({"ul", "ol", "menu", "dir", *_TABLE})),
    "dd": (frozenset({"dd", "dt"}), frozenset({"dl", *_TABLE})),
    "dt": (frozenset({"dd", "dt"}), frozenset({"dl", *_TABLE})),
    "option": (frozenset({"option"}), frozenset({"select", *_TABLE})),
    "optgroup": (frozenset({"optgroup"}), frozenset({"select", *_TABLE})),
    "td": (frozenset(_CELLS), frozenset({"table"})),
    "th": (frozenset(_CELLS), frozenset({"table"})),
    "tr": (frozenset({"tr", "caption"}), frozenset({"table"})),
    **dict.fromkeys(
        ("tbody", "thead", "tfoot"),
        (frozenset({"tbody", "thead", "tfoot", "tr", "caption"}), frozenset({"table"})),
    ),
    "a": (frozenset({"a"}), _TABLE),
}
_PARAGRAPH = (frozenset({"p"}), frozenset({"button", "object", "marquee", *_TABLE}))
_CLOSE_PARAGRAPHS = BLOCKS - {"td", "th", "tr", "tbody", "thead", "tfoot", "caption", "option"}


class Attributes:
    """The attributes of an element, read when they are asked for."""

    __slots__ = ("_read", "_source")

    def __init__(self, source: str) -> None:
        self._source = source
        self._read: Mapping[str, str] | None = None

    def __bool__(self) -> bool:
        return not self._source.isspace() and self._source not in ("", "/")

    def get(self, name: str) -> str | None:
        """The value of an attribute, "" where it has none; None where it is not there."""
        if self._read is None:
            found: dict[str, str] = {}
            for one in _ATTRIBUTE.finditer(self._source):
                found.setdefault(one[1].lower(), one[2] or one[3] or one[4] or "")
                if len(found) == _MAX_ATTRIBUTES:
                    break
            self._read = found
        value = self._read.get(name)
        return value if value is None else unescape(value)


class Visitor(Protocol):
    """Who is told of what is in the tree."""

    def enter(self, name: str, attributes: Attributes) -> None:
        """An element begins; ``leave`` follows, but for those in `VOID`."""

    def leave(self, name: str) -> None:
        """The element that was entered last, of those of that name, ends."""

    def text(self, text: str) -> None:
        """A text, its character references resolved."""


class _Raw(NamedTuple):
    text: str
    end: int


def walk(markup: str, visitor: Visitor) -> bool:
    """Tell ``visitor`` what is in ``markup``; False where there was more than `MAX_TAGS` tags."""
    tree = _Open(visitor)
    at = 0
    for _ in range(MAX_TAGS):
        found = _TOKEN.search(markup, at)
        if found is None:
            _text(markup[at:], visitor)
            tree.close()
            return True
        _text(markup[at : found.start()], visitor)
        at = found.end()
        name = found["name"]
        if name is None:
            continue
        if not found["closed"]:  # the rest of the document is one tag without an end
            _text(markup[found.start() :], visitor)
            tree.close()
            return True
        name = name.lower()
        if found["end"]:
            tree.end(name)
            continue
        tree.begin(name, Attributes(found["attributes"]))
        if name in _RAW:
            raw = _raw(markup, at, name)
            if name in ("textarea", "title", "style"):
                _text(raw.text, visitor)
            elif name in ("xmp", "plaintext"):
                visitor.text(raw.text)
            at = raw.end
            tree.end(name)
    tree.close()
    return False


def _raw(markup: str, at: int, name: str) -> _Raw:
    """What stands in an element that holds text alone, and where its end tag begins."""
    found = _RAW_END[name].search(markup, at) if name in _RAW_END else None
    end = found.start() if found else len(markup)
    close = markup.find(">", end)
    return _Raw(markup[at:end], len(markup) if close < 0 else close + 1)


def _text(text: str, visitor: Visitor) -> None:
    if text:
        visitor.text(unescape(text) if "&" in text else text)


# Python refuses to read a number of more than 4,300 digits; Unicode ends at 1,114,111.
_ZEROS = re.compile(r"&#(x?)0++(?=[0-9a-f])", re.IGNORECASE)
_HUGE = re.compile(r"&#(?:[0-9]{8,}+|x[0-9a-f]{7,}+);?", re.IGNORECASE)


def unescape(text: str) -> str:
    """The text with its character references resolved."""
    from html import unescape as resolve  # its table takes 0.4 MiB

    return resolve(_HUGE.sub("\ufffd", _ZEROS.sub(r"&#\1", text)))


class _Open:
    """The elements that are open, outermost first."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._names: list[str] = []
        self._count: dict[str, int] = {}
        self._beyond: dict[str, int] = {}  # open ones too deep to be kept

    def begin(self, name: str, attributes: Attributes) -> None:
        if name in _CLOSE_PARAGRAPHS:
            self._close(*_PARAGRAPH)
        if name in _CLOSES:
            self._close(*_CLOSES[name])
        self._visitor.enter(name, attributes)
        if name in VOID:
            return
        if len(self._names) == MAX_DEPTH:
            self._visitor.leave(name)
            self._beyond[name] = self._beyond.get(name, 0) + 1
            return
        self._names.append(name)
        self._count[name] = self._count.get(name, 0) + 1

    def end(self, name: str) -> None:
        if name == "br" or (name == "p" and not self._count.get("p")):  # as browsers have it
            self._visitor.enter(name, Attributes(""))
            if name == "p":
                self._visitor.leave(name)
        elif self._beyond.get(name):
            self._beyond[name] -= 1
        elif name in BLOCKS or name in ("select", "button", "object"):
            stops = frozenset({"table"}) - {name} if name in _TABLE else _TABLE
            self._close(frozenset({name}), stops)
        else:
            self._take_out(name)

    def close(self) -> None:
        while self._names:
            self._pop()

    def _close(self, names: frozenset[str], stops: frozenset[str]) -> None:
        """Close the innermost element of ``names`` with all in it; none beyond one of ``stops``."""
        if not any(self._count.get(name) for name in names):
            return
        for depth in range(len(self._names) - 1, -1, -1):
            name = self._names[depth]
            if name in names:
                while len(self._names) > depth:
                    self._pop()
                if len(names) == 1:
                    return
            elif name in stops:
                return

    def _take_out(self, name: str) -> None:
        """Close an element that is no block, and no block in it: as browsers do with ``</b>``."""
        if not self._count.get(name):
            return
        for depth in range(len(self._names) - 1, -1, -1):
            if self._names[depth] == name:
                del self._names[depth]
                self._count[name] -= 1
                self._visitor.leave(name)
                return
            if self._names[depth] in _TABLE:
                return

    def _pop(self) -> None:
        name = self._names.pop()
        self._count[name] -= 1
        self._visitor.leave(name)
