"""What was said in a conversation, and how an answer quotes it.

For `lamson.Thread`, and for templates. What is quoted is a stranger's text: its names and dates are
one line each, what is said is quoted line by line, and escaped where it becomes HTML. The newest
comes first, and all of it together has a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

ATTRIBUTION = "On {date:%-d %B %Y}, {name} wrote:"
MAX_HISTORY = 20_000  # characters that are quoted in one answer
_CUT = "[...]"


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody wrote in a conversation, without the quotes and signatures that came along.

    ``author`` is the address in the form in which addresses are compared, ``name`` how the writer
    calls himself, ``date`` when the message says that it was written. ``is_ours`` where the
    application sent it.
    """

    author: str
    name: str
    date: datetime
    text: str
    is_ours: bool = False


class _Html(str):
    """HTML that a template shows as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def quoted(messages: Iterable[Said], attribution: str = ATTRIBUTION) -> str:
    """The messages as a text quotes them, the last one first; "" where there is none.

    ``attribution`` is the line above each; ``{date}`` and ``{name}`` stand for those of each.
    """
    shown = [
        "\n".join((line, *(f"> {one}".rstrip() for one in text.split("\n"))))
        for line, text in _bounded(messages, attribution)
    ]
    return "\n\n".join(shown) + "\n" if shown else ""


def quoted_html(messages: Iterable[Said], attribution: str = ATTRIBUTION) -> str:
    """The same as HTML, which templates show as it is."""
    return _Html(
        "".join(
            f'<p>{escape(line)}</p>\n<blockquote type="cite">'
            f"{escape(text).replace(chr(10), '<br>' + chr(10))}</blockquote>\n"
            for line, text in _bounded(messages, attribution)
        )
    )


def _bounded(messages: Iterable[Said], attribution: str) -> Iterator[tuple[str, str]]:
    """The line above each message, and its text, as long as there is room."""
    room = MAX_HISTORY
    for said in reversed(list(messages)):
        text = said.text.strip("\n")
        if len(text) > room:
            text = f"{text[:room]}\n{_CUT}"
        line = attribution.format(date=said.date, name=said.name or said.author)
        yield " ".join(line.split()), text
        room -= len(text) + len(line)
        if room <= 0:
            return
