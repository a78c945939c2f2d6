"""The fields in which machines report: message/delivery-status and its kin, read group by group.

For `report`. RFC 3464 (and 6533, in UTF-8) has a group of fields for the message and one for each
recipient, RFC 8098 and 5965 have one group each. Real ones have groups that run into each other or
stand apart, folds without blanks, addresses without a type and actions of their own. Whatever they
are, this takes linear time and gives what can be read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FIELDS = 10_000  # lines of fields that are read
MAX_VALUE = 4096  # characters of a field that are kept

_FIELD = re.compile(r"[ \t]?([A-Za-z][A-Za-z0-9-]{0,60})[ \t]*:[ \t]*(.*)")
_ADDRESS = re.compile(
    r"""(?:"(?:[^"\\\n]|\\.){1,128}"|[^\s<>()\[\]:;,"@]{1,128})@[^\s<>()\[\]:;,"@]{1,255}"""
)
_ESCAPED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 section 3
_XTEXT = re.compile(r"\+(2B|3D)")  # RFC 3461 section 4, of what addresses have

Group = dict[str, str]
"""The fields of one group, names in lower case; of a repeated one the first."""


def groups(text: str) -> Iterator[Group]:
    """The groups of fields in ``text``, in order, without empty ones."""
    group: Group = {}
    name = ""
    for line in text.split("\n", MAX_FIELDS)[:MAX_FIELDS]:
        field = _FIELD.match(line)
        if not line.strip():
            if group:
                yield group
            group, name = {}, ""
        elif line[0] in " \t" and name and (field is None or line[1:2] in " \t"):
            if len(group[name]) < MAX_VALUE:
                group[name] = f"{group[name]} {line.strip()}".strip()[:MAX_VALUE]
        elif field is not None:
            name = field[1].lower()
            if name == "final-recipient" and name in group:  # the next one's, without a blank line
                yield group
                group = {}
            if name in group:
                name = ""
            else:
                group[name] = field[2].strip()[:MAX_VALUE]
        elif name and len(group[name]) < MAX_VALUE:  # a fold that lost its blank
            group[name] = f"{group[name]} {line.strip()}".strip()[:MAX_VALUE]
    if group:
        yield group


def address_of(value: str) -> str:
    """The address in a field such as ``rfc822; joe@example.com``, "" where there is none."""
    declared, semicolon, rest = value.partition(";")
    text = rest if semicolon else declared
    if declared.strip().lower() in ("utf-8", "unicode"):
        text = _ESCAPED.sub(_character, text)
    text = _XTEXT.sub(lambda found: chr(int(found[1], 16)), text)
    found = _ADDRESS.search(text)
    return found[0].strip(".'") if found else ""


def text_of(value: str) -> str:
    """What stands behind the type of a field such as ``smtp; 550 5.1.1 no such user``."""
    declared, semicolon, rest = value.partition(";")
    if semicolon and re.fullmatch(r"[\w. -]{1,30}", declared.strip()):
        return " ".join(rest.split())
    return " ".join(value.split())


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    is_one = number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF
    return chr(number) if is_one else "\ufffd"
