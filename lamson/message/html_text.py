"""The readable text of an HTML part, for those who want text where none was sent.

For `ParsedMessage` and `Templates`. Comments, styles and scripts go, blocks and ``<br>`` become
lines, tags go, character references become characters. This is no HTML parser: it reads hostile
HTML in linear time and never raises, and its result is plain text, to be escaped like any other.
"""

from __future__ import annotations

import re

MAX_HTML = 1 << 18  # characters that are read

# Each expression consumes what it has scanned, so that many openings without an end stay linear.
_HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(style|script|title|template)\b.*?(?:</\1\b[^<>]*+>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_SPACE = re.compile(r"[ \t\r\n\f]+")
_BLOCK = re.compile(
    r"</?(?:p|div|br|hr|h[1-6]|li|ul|ol|dl|dt|dd|tr|table|blockquote|pre|section|article|header"
    r"|footer)\b[^<>]*+>",
    re.IGNORECASE,
)
_PARAGRAPH = re.compile(r"</(?:p|h[1-6]|table|ul|ol|blockquote)\b[^<>]*+>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z!?][^<>]*+>", re.IGNORECASE)
# Python refuses to read a number of more than 4,300 digits; Unicode ends at 1,114,111.
_ZEROS = re.compile(r"&#0++(?=[0-9])")
_HUGE = re.compile(r"&#[0-9]{8,}+;?")
_BLANK_LINES = re.compile(r"\n{3,}")


def text_of(markup: str) -> str:
    """The text of ``markup``, lines ending in LF; what stands past `MAX_HTML` is left out."""
    text = _SPACE.sub(" ", _HIDDEN.sub(" ", markup[:MAX_HTML]))
    text = _BLOCK.sub("\n", _PARAGRAPH.sub("\n\n", text))
    from html import unescape  # its table takes 0.4 MiB

    text = _HUGE.sub("\ufffd", _ZEROS.sub("&#", _TAG.sub("", text)))
    text = unescape(text).replace("\xa0", " ")
    lines = "\n".join(line.strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", lines).strip() + "\n"
