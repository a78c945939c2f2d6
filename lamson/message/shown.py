"""The text of a message as a person sees it, out of all its parts (RFC 2046 section 5.1).

For `ParsedMessage`. Of alternatives the plain text is taken where there is something in it, and not
only that there is HTML, else the HTML as text; whatever else stands beside one another is joined in
order: the text above a picture and the one below it, a page and the footer that a mailing list put
under it. A part that is empty hides nothing, nor does a file name: only what is declared to be an
attachment, and what stands in an attached message, is no text of this one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.message import html_text
from lamson.message.flowed import unflow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.message.defects import Defects
    from lamson.message.part import Group, Part

# Texts for programs, and those whose source nobody wants to read.
_NOT_FOR_PEOPLE = re.compile(r"text/(?:calendar|css|csv|directory|javascript|rtf|vcard|x-|xml)")
_ENRICHED = ("text/enriched", "text/richtext")
_COMMAND = re.compile(
    r"<param>.*?(?:</param>|\Z)|<(?!<)/?[a-z][a-z0-9-]{0,60}>", re.IGNORECASE | re.DOTALL
)
_SOFT_BREAK = re.compile(r"(?<!\n)\n(?!\n)")
_BREAKS = re.compile(r"\n(\n+)")
_MAX_STUB = 400  # characters
# Blanks, and what takes no room: newsletters fill an empty text with it.
_NOTHING = re.compile("[\\s\u00ad\u034f\u061c\u180e\u200b-\u200f\u2060-\u2064\u2800\ufeff]*+")


def text_of(parts: Sequence[Part], defects: Defects) -> str:
    r"""The text of a message with these parts, lines ending in ``\n``; "" where there is none."""
    ours = [part for part in parts if part.within is None]
    shown = [part for part in ours if part.is_shown] or _instead(ours)
    return _joined(_Reader(defects).texts(shown, None))


def html_of(parts: Sequence[Part]) -> str | None:
    """The first text/html that is shown; None where there is none."""
    for part in parts:
        if part.content_type == "text/html" and part.within is None and part.is_shown:
            return part.text
    return None


def _instead(parts: list[Part]) -> list[Part]:
    """What is shown where nothing is declared to be: of unknown kinds, or the one part there is."""
    if len(parts) == 1 and parts[0].group is None and parts[0].content_type.startswith("text/"):
        return parts
    return [
        part
        for part in parts
        if part.content_type.startswith("text/")
        and not _NOT_FOR_PEOPLE.match(part.content_type)
        and not part.is_declared_attachment
    ]


class _Reader:
    """Reads texts, as much HTML of one message as of one page."""

    def __init__(self, defects: Defects) -> None:
        self._defects = defects
        self._html = html_text.MAX_HTML

    def texts(self, parts: Sequence[Part], within: Group | None) -> list[str]:
        """The texts that are shown of those parts, all of which are in the group ``within``."""
        children = list(_children(parts, within))
        kind = within.kind if within else ""
        if kind == "alternative":
            return self._alternative(children)
        if kind == "related":  # section 3 of RFC 2387: the others are for the first to show
            children = [
                child
                for number, child in enumerate(children)
                if number == 0 or not (child[1] is None and _is_referred_to(child[0][0]))
            ]
        return [text for child in children for text in self._child(*child)]

    def _child(self, parts: list[Part], group: Group | None) -> list[str]:
        if group:
            return self.texts(parts, group)
        text = self._text(parts[0])
        # The line end before a boundary line belongs to that (RFC 2046 section 5.1.1): a text in a
        # multipart has lost its own.
        return [f"{text}\n" if text and parts[0].group and not text.endswith("\n") else text]

    def _alternative(self, children: list[tuple[list[Part], Group | None]]) -> list[str]:
        plain = [child for child in children if child[0][0].content_type == "text/plain"]
        others = [child for child in children if child[0][0].content_type != "text/plain"]
        first: list[str] | None = None
        stub: list[str] | None = None
        for child in (*plain, *reversed(others)):
            texts = self._child(*child)
            if not any(map(_says_something, texts)):
                first = texts if first is None else first
            elif child in plain and others and _may_be_stub(texts):
                stub = texts if stub is None else stub
            elif stub is not None and _bare(stub) in _bare(texts):
                break
            else:
                return texts
        return stub or first or []

    def _text(self, part: Part) -> str:
        text = part.text
        if part.content_type == "text/html":
            rendered, is_whole = html_text.render(text[: self._html])
            if not is_whole or len(text) > self._html:
                self._defects.add("longer HTML than is made into text", kind="limit")
            self._html = max(self._html - len(text), 0)
            return rendered
        if part.content_type in _ENRICHED:
            return _enriched(text)
        if part.parameter("format") == "flowed":
            return unflow(text, deletes_space=part.parameter("delsp") == "yes")
        return text


def _children(
    parts: Sequence[Part], within: Group | None
) -> Iterator[tuple[list[Part], Group | None]]:
    """What the group holds, in order: a part alone and None, or a group's parts and it."""
    held: list[Part] = []
    holding: Group | None = None
    for part in parts:
        group = _child_of(part.group, within)
        if held and (group is None or group is not holding):
            yield held, holding
            held = []
        held.append(part)
        holding = group
    if held:
        yield held, holding


def _child_of(group: Group | None, within: Group | None) -> Group | None:
    """The one of the groups around a part that is directly in ``within``."""
    if group is within:
        return None
    while group is not None and group.outer is not within:
        group = group.outer
    return group


def _is_referred_to(part: Part) -> bool:
    return (
        part.content_id is not None or next(part.headers.raw("Content-Location"), None) is not None
    )


def _says_something(text: str) -> bool:
    return _NOTHING.fullmatch(text) is None


def _may_be_stub(texts: list[str]) -> bool:
    """Whether it may only say that there is HTML: "Your mail program does not show HTML"."""
    return sum(map(len, texts)) <= _MAX_STUB and any("html" in text.lower() for text in texts)


def _bare(texts: list[str]) -> str:
    return "".join("".join(texts).split())


def _joined(texts: list[str]) -> str:
    shown = [text for text in texts if _says_something(text)]
    return "".join(shown) if shown else next(iter(texts), "")


def _enriched(text: str) -> str:
    """RFC 1896: commands in angle brackets; one line end is a blank, of more one is left out."""
    text = _SOFT_BREAK.sub(" ", _COMMAND.sub("", text))
    return _BREAKS.sub(lambda found: found[1], text).replace("<<", "<")
