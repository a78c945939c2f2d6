"""The readable text of an HTML part, for those who want text where none was sent.

For `ParsedMessage` and `Templates`. The text says what the page shows: paragraphs and lines,
``>`` before what is quoted, ``*`` and numbers before what is listed, a tab between the cells of a
row, white space as it is in ``<pre>``, the address of a link behind its text. What the page hides
is left out. It is plain text, to be escaped like any other; it never raises, and takes time linear
in the markup (see `markup`).
"""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple

from lamson.message import markup as tree

if TYPE_CHECKING:
    from lamson.message.markup import Attributes

MAX_HTML = 1 << 20  # characters that are read
_MAX_STYLES = 1 << 16  # characters of style sheets that are looked at
_MAX_LINK = 1000  # pieces of a link's text
_MAX_PREFIX = 60  # characters before a line, however deep its quotes and lists are
_RULE = "-----"

_SPACE = re.compile(r"[ \t\r\n\f]+")
_LINE_ENDS = re.compile(r"\r\n?")
# Take no room: they fill the preview line that mail programs show. Joiners have a meaning in words.
_NO_ROOM = re.compile("[\u00ad\u034f\u180e\u200b\u2060-\u2064\ufeff\0]+")
# A run is looked at once, from its begin: from the second of them, where the first is in a word.
_JOINERS = re.compile(
    "(?<![^\\W_])(?:(?<![\u200c\u200d])|(?<=[^\\W_][\u200c\u200d]))[\u200c\u200d]++"
    "(?=[\\s\xa0]|\\Z)"
)
_HIDDEN = frozenset(
    {"datalist", "iframe", "noembed", "noframes", "script", "style", "svg", "template", "title"}
)
_APART = frozenset(
    {"blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "ul"}
)
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_PREFORMATTED = frozenset({"pre", "listing", "xmp", "plaintext"})
_HIDING_STYLE = re.compile(
    r"(?:^|[;\s])(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)"
    r"|(?:max-height|opacity)\s*:\s*0(?:\.0*)?(?:px|pt|em|%)?\s*(?:!|;|$)"
    # What is put where no window is.
    r"|(?:text-indent|left|right|top|margin-left)\s*:\s*-[0-9]{4,}|clip\s*:\s*rect\(\s*0)"
)
_NO_SIZE = re.compile(r"(?:^|[;\s])(?:height|width)\s*:\s*0(?:\.0*)?(?:px|pt|em|%)?\s*(?:!|;|$)")
_CUTS_OFF = re.compile(r"(?:^|[;\s])overflow(?:-[xy])?\s*:\s*hidden")
_FONT_SIZE = re.compile(r"(?:^|[;\s])font(?:-size)?\s*+:[a-z\s]*+(?<=[\s:])([0-9.]+)")
_WHITE_SPACE = re.compile(r"(?:^|[;\s])white-space\s*:\s*(pre|break-spaces|normal|nowrap)")
_RULES = re.compile(r"(?<![^{}@])([^{}@]{1,1000}+)\{([^{}]{0,2000}+)\}")
_SELECTOR = re.compile(r"(?:[a-z0-9]+)?([.#][\w-]+)")
_MEDIA = re.compile(r"@media|[{}]")
_STYLE_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_NO_LINK = re.compile(r"#|(?:javascript|data|cid|about|vbscript|file|blob):", re.IGNORECASE)
_IN_ADDRESS = re.compile("[\x00-\x20\x7f]+")
_SCHEME = re.compile(r"(?:https?://|mailto:|tel:)(?:www\.)?", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]{1,6}")


class _Effect(NamedTuple):
    """What an element does as long as it is open."""

    hides: bool = False
    tiny: bool | None = None  # a font size of nothing, or one that is something again
    keeps_space: bool | None = None
    prefix: str = ""  # before each line in it
    link: str = ""
    is_list: bool = False


_NONE = _Effect()


def text_of(markup: str) -> str:
    """The text of ``markup``, lines ending in LF; what stands past `MAX_HTML` is left out."""
    return render(markup)[0]


def render(markup: str) -> tuple[str, bool]:
    """The text, and whether it is all there is: False where the markup passes a limit."""
    page = _Page()
    is_whole = tree.walk(markup[:MAX_HTML], page)
    return page.finish(), is_whole and len(markup) <= MAX_HTML


class _Page:
    """The visitor that writes the text."""

    def __init__(self) -> None:
        self._lines = _Lines()
        self._effects: dict[str, list[_Effect]] = {}
        self._hidden = 0
        self._tiny: list[bool] = []
        self._keeps_space: list[bool] = []
        self._lists: list[int | None] = []  # the next number, None for bullets
        self._links: list[tuple[str, int, int]] = []
        self._in_style = False
        self._is_fresh = False  # at the begin of what keeps its white space
        self._sheet = 0  # characters of style sheets that were read
        self._hiding: set[str] = set()  # ".class" and "#id"

    def enter(self, name: str, attributes: Attributes) -> None:
        effect = self._effect(name, attributes)
        self._in_style = name == "style"
        if name in tree.VOID:
            if not (self._is_hidden or effect.hides or effect.tiny):
                self._enter_void(name, attributes)
            return
        self._hidden += effect.hides
        if effect.tiny is not None:
            self._tiny.append(effect.tiny)
        if effect.keeps_space is not None:
            self._keeps_space.append(effect.keeps_space)
        if self._is_hidden:  # no more than that is to be undone
            effect = _Effect(effect.hides, effect.tiny, effect.keeps_space)
        else:
            self._enter_visible(name, attributes, effect)
        self._effects.setdefault(name, []).append(effect)

    def _enter_void(self, name: str, attributes: Attributes) -> None:
        lines = self._lines
        if name == "br":
            lines.line_break()
        elif name == "img":
            lines.write(_SPACE.sub(" ", f" {attributes.get('alt') or ''} "))
        elif name == "hr":
            lines.apart(2)
            lines.write(_RULE)
            lines.apart(2)

    def _enter_visible(self, name: str, attributes: Attributes, effect: _Effect) -> None:
        lines = self._lines
        if name in ("td", "th"):
            lines.begin_cell()
        elif name in tree.BLOCKS:
            lines.apart(self._distance(name))
            if name == "tr":
                lines.begin_row()
        if effect.prefix:
            lines.indent(effect.prefix)
        if effect.is_list:
            start = attributes.get("start") or ""
            number = int(start) if _NUMBER.fullmatch(start) else 1
            self._lists.append(number if name == "ol" else None)
        elif name == "li":
            lines.mark(self._marker(attributes))
        elif effect.link:
            self._links.append((effect.link, *lines.position))
        self._is_fresh = effect.keeps_space is True

    def _distance(self, name: str) -> int:
        is_inner = name in _LISTS and bool(self._lists)
        return 2 if name in _APART and not is_inner else 1

    def leave(self, name: str) -> None:
        effects = self._effects.get(name)
        effect = effects.pop() if effects else _NONE
        was_hidden = self._is_hidden
        self._hidden -= effect.hides
        if effect.tiny is not None:
            self._tiny.pop()
        if effect.keeps_space is not None:
            self._keeps_space.pop()
        self._in_style = False
        if effect.link:
            self._end_link()
        if effect.is_list:
            self._lists.pop()
        if name in ("td", "th"):
            self._lines.end_cell()
        elif name in tree.BLOCKS and not was_hidden:
            self._lines.apart(self._distance(name))
        if effect.prefix:
            self._lines.outdent()

    def text(self, text: str) -> None:
        if self._in_style:
            self._read_styles(text)
        if self._is_hidden:
            return
        text = _JOINERS.sub("", _NO_ROOM.sub("", text))
        if self._keeps_space and self._keeps_space[-1]:
            text = _LINE_ENDS.sub("\n", text).replace("\xa0", " ")
            self._lines.write_as_it_is(text.removeprefix("\n") if self._is_fresh else text)
            self._is_fresh = False
        else:
            self._lines.write(_SPACE.sub(" ", text))

    def finish(self) -> str:
        return self._lines.finish()

    @property
    def _is_hidden(self) -> bool:
        return self._hidden > 0 or (bool(self._tiny) and self._tiny[-1])

    def _effect(self, name: str, attributes: Attributes) -> _Effect:
        hides = name in _HIDDEN
        keeps_space = True if name in _PREFORMATTED else None
        prefix = "> " if name == "blockquote" else ""
        if name == "li":
            prefix = "  " if not self._lists or self._lists[-1] is None else "   "
        elif name == "dd":
            prefix = "  "
        if not attributes:
            return _Effect(hides, None, keeps_space, prefix, is_list=name in _LISTS)
        link = self._address(attributes) if name == "a" else ""
        style = _STYLE_COMMENT.sub("", attributes.get("style") or "").lower()
        hides = hides or attributes.get("hidden") is not None
        tiny = None
        if style:
            hides = hides or _hides(style)
            if size := _FONT_SIZE.search(style):
                tiny = not size[1].strip("0.")
            if space := _WHITE_SPACE.search(style):
                keeps_space = space[1] in ("pre", "break-spaces")
        if self._hiding and not hides:
            names = [f".{one}" for one in (attributes.get("class") or "").split()[:20]]
            names.append(f"#{attributes.get('id')}")
            hides = not self._hiding.isdisjoint(names)
        return _Effect(hides, tiny, keeps_space, prefix, link, name in _LISTS)

    def _address(self, attributes: Attributes) -> str:
        address = _IN_ADDRESS.sub("", attributes.get("href") or "")
        return "" if _NO_LINK.match(address) else address

    def _end_link(self) -> None:
        if not self._links:
            return
        address, line, piece = self._links.pop()
        shown = self._lines.since(line, piece)
        if shown is None or _bare(shown) != _bare(address):
            self._lines.write(f" <{address}>" if shown is None or shown else f"<{address}>")

    def _marker(self, attributes: Attributes) -> str:
        if not self._lists or (number := self._lists[-1]) is None:
            return "* "
        value = attributes.get("value") or ""
        number = int(value) if _NUMBER.fullmatch(value) else number
        self._lists[-1] = number + 1
        return f"{number}. "

    def _read_styles(self, sheet: str) -> None:
        """Which classes and ids are hidden, whatever the screen is."""
        sheet = _STYLE_COMMENT.sub("", sheet[: _MAX_STYLES - self._sheet])
        self._sheet += len(sheet)
        sheet = sheet.lower()  # which may be longer
        for selectors, style in _RULES.findall(_for_all_media(sheet)):
            if _hides(style):
                for selector in selectors.split(","):
                    if found := _SELECTOR.fullmatch(selector.strip()):
                        self._hiding.add(found[1])


def _hides(style: str) -> bool:
    if _HIDING_STYLE.search(style):
        return True
    return _CUTS_OFF.search(style) is not None and _NO_SIZE.search(style) is not None


def _for_all_media(sheet: str) -> str:
    """The sheet without what is for some screens or for paper alone."""
    kept: list[str] = []
    at = depth = 0
    is_inside = False
    for mark in _MEDIA.finditer(sheet):
        if not is_inside:
            if mark[0] == "@media":
                kept.append(sheet[at : mark.start()])
                is_inside, depth = True, 0
            continue
        depth += {"{": 1, "}": -1}.get(mark[0], 0)
        if mark[0] == "}" and depth <= 0:
            is_inside, at = False, mark.end()
    return "".join(kept if is_inside else [*kept, sheet[at:]])


def _bare(address: str) -> str:
    return _SCHEME.sub("", address.strip()).rstrip("/").lower()


class _Lines:
    """The lines of the text: what stands between two texts is decided when the second comes."""

    def __init__(self) -> None:
        self._out = StringIO(newline="")
        self._line: list[str] = []  # the one being written, in pieces, without its prefix
        self._number = 0
        self._prefixes: list[str] = []
        self._line_prefix = ""
        self._mark = ""
        self._ends = 0  # line ends to be written before the next text
        self._has_text = False
        self._space = False
        self._tab = False
        self._cell = (0, False)  # the line in which it began, and whether anything stands in it
        self._cells = 0  # of this row that had text

    @property
    def position(self) -> tuple[int, int]:
        """Where the next text will stand, to be given to `since`."""
        return (self._number + 1, 0) if self._ends else (self._number, len(self._line))

    def since(self, number: int, piece: int) -> str | None:
        """What was written since; None where that is more than a line, or not at its end."""
        if number != self._number:
            return None if number < self._number else ""
        pieces = self._line[piece : piece + _MAX_LINK]
        return None if len(pieces) == _MAX_LINK else "".join(pieces).strip()

    def indent(self, prefix: str) -> None:
        self._prefixes.append(prefix)

    def outdent(self) -> None:
        self._prefixes.pop()

    def mark(self, marker: str) -> None:
        """Begin an item of a list: the marker stands where its lines are indented."""
        self._mark = marker

    def apart(self, ends: int) -> None:
        """End the line, and leave a blank one where ``ends`` is 2."""
        if self._tab or (self._cells and not self._cell[1]):
            return  # a block at the begin of a cell
        self._ends = max(self._ends, ends)
        self._space = False

    def line_break(self) -> None:
        self._ends = min(self._ends + 1, 2)
        self._tab = self._space = False

    def begin_row(self) -> None:
        self._cells = 0
        self._tab = False

    def begin_cell(self) -> None:
        if self._cells and self._line and self._cell[0] == self._number:
            self._ends, self._tab = 0, True
        elif self._cells:
            self._ends = max(self._ends, 1)
        self._cell = (self._number, False)

    def end_cell(self) -> None:
        if self._cell[1]:
            self._cells += 1
        self._space = False

    def write(self, text: str) -> None:
        """A text in which white space is a blank."""
        if not text:
            return
        if text[0] == " ":
            self._space = True
            text = text[1:]
        if not text:
            return
        is_spaced = text[-1] == " "
        text = text.rstrip(" ").replace("\xa0", " ")
        self._begin(text)
        self._space = is_spaced

    def _begin(self, text: str) -> None:
        if self._ends:
            self._end_lines()
        if self._tab:
            self._line.append("\t")
        elif self._space and self._line and not self._line[-1].endswith(" "):
            self._line.append(" ")
        self._tab = self._space = False
        if not self._line:
            self._set_prefix()
        self._line.append(text)
        if text and not text.isspace():
            self._has_text = True
            if not self._cell[1]:
                self._cell = (self._number, True)

    def write_as_it_is(self, text: str) -> None:
        first, *others = text.split("\n")
        if first:
            self._begin(first)
        for line in others:
            self._ends += 1
            if line:
                self._begin(line)

    def _set_prefix(self) -> None:
        prefix = "".join(self._prefixes)
        self._line_prefix = prefix
        if self._mark:
            before = "".join(self._prefixes[:-1])
            self._line_prefix = f"{before}{self._mark}"
            self._mark = ""
        if len(self._line_prefix) > _MAX_PREFIX:
            self._line_prefix = self._line_prefix[-_MAX_PREFIX:]

    def _end_lines(self) -> None:
        """End the line, with blank ones after it; above the first text there are none."""
        if self._has_text:
            old = self._line_prefix
            self._out.write(f"{old}{''.join(self._line)}".rstrip(" \t"))
            blank = _common(old, "".join(self._prefixes)).rstrip(" ")
            self._out.write(f"\n{blank}" * (self._ends - 1))
            self._out.write("\n")
        self._number += 1
        self._line = []
        self._line_prefix = ""
        self._ends = 0

    def finish(self) -> str:
        self._ends = 1
        self._end_lines()
        return self._out.getvalue().rstrip() + "\n"


def _common(one: str, other: str) -> str:
    """The quotes that two lines share: a blank line between them has those."""
    depth = 0
    for left, right in zip(one, other, strict=False):
        if left != right or left not in "> ":
            break
        depth += 1
    return one[:depth]
