"""``format=flowed`` undone (RFC 3676): the paragraphs that were broken into lines to be sent.

For `shown`. A line that ends in a blank goes on in the next one, if that is quoted as deep; a line
that begins with a blank, ``>`` or ``From`` was given one more, which is taken off. Linear, and a
line at a time.
"""

from __future__ import annotations

import re
from io import StringIO

_QUOTES = re.compile(r">*")
_SIGNATURE = "-- "  # section 4.3: it is no line that goes on


def unflow(text: str, *, deletes_space: bool = False) -> str:
    r"""The text with its paragraphs on one line each; lines end in ``\n``.

    ``deletes_space`` is ``DelSp=yes``: the blank that a line ends in was put there to break it.
    """
    if " \n" not in text and "\n " not in text and not text.startswith((" ", ">")):
        return text
    out = StringIO(newline="")
    depth = -1  # how deep the line is quoted that goes on; -1 where none does
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        is_last = end < 0
        line = text[at:] if is_last else text[at:end]
        at = len(text) if is_last else end + 1
        quotes = _QUOTES.match(line)
        quoted = quotes.end() if quotes else 0
        content = line[quoted:].removeprefix(" ")
        goes_on = content.endswith(" ") and content != _SIGNATURE
        if depth >= 0 and (depth != quoted or content == _SIGNATURE):
            out.write("\n")
            depth = -1
        if depth < 0:
            out.write(f"{'>' * quoted} " if quoted and content else ">" * quoted)
        out.write(content[:-1] if goes_on and deletes_space else content)
        depth = quoted if goes_on else -1
        if not goes_on and not is_last:
            out.write("\n")
    if depth >= 0:
        out.write("\n")
    return out.getvalue()
