r"""The value of a header field that a filter sets, as it stands in a message.

For `actions`, `context` and `edits`. A filter says a value as text; what is not ASCII in it is
encoded where that is allowed. RFC 2047 section 5 allows it in a phrase, such as a display name, and
never within an address or angle brackets. For the parameters of a Content field RFC 2231 says how.
"""

from __future__ import annotations

import re

from lamson.errors import AddressError
from lamson.message import mailboxes
from lamson.message.compose import WIDTH, encode_words, fold, is_plain, parameter

_PARAMETERS = frozenset({"content-disposition", "content-type"})
_BRACKETED = re.compile(r"([^<>]*)(<[^<>]*>[\t !-~]*)")  # Jürgens Liste <list.example.com>
_PARAMETER = re.compile(r';\s*([!#$&-\'*+.0-9A-Z^_`a-z{|}~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"]*)')
_ESCAPED = re.compile(r"\\(.)")


def field_value(name: str, value: str) -> str:
    r"""``value`` as it stands behind ``name:`` in a message: encoded, folded, ``\n`` in the folds.

    It begins with the space behind the colon. Raises ValueError for a value with other than ASCII
    characters that a field of this name cannot have.
    """
    value = value.strip(" \t")
    if not is_plain(value):
        value = _encoded(name, value)
    folded = fold(name, value).decode("ascii")
    return folded[len(name) + 1 : -2].replace("\r\n", "\n")


def _encoded(name: str, value: str) -> str:
    if mailboxes.is_field(name):
        return _addresses(name, value)
    if name.lower() in _PARAMETERS:
        return _parameters(name, value)
    bracketed = _BRACKETED.fullmatch(value)
    if bracketed is not None and is_plain(bracketed[2]):
        phrase = bracketed[1].strip(' \t"')
        first = WIDTH - len(name) - 2
        return f"{encode_words(phrase, first=first)} {bracketed[2]}" if phrase else bracketed[2]
    return encode_words(value, first=WIDTH - len(name) - 2)


def _addresses(name: str, value: str) -> str:
    try:
        found = mailboxes.parse(value)
    except AddressError as error:
        raise ValueError(f"field {name}: {error}") from None
    encoded = ", ".join(one.encoded(utf8=False) for one in found)
    if not encoded.isascii():
        raise ValueError(f"field {name}: an address beyond ASCII needs SMTPUTF8: {value[:200]!r}")
    return encoded


def _parameters(name: str, value: str) -> str:
    end = value.find(";")
    kind, rest = (value, "") if end < 0 else (value[:end], value[end:].rstrip("; \t"))
    found = list(_PARAMETER.finditer(rest))
    if "".join(one[0] for one in found) != rest or not kind.isascii():
        raise ValueError(f'field {name}: not parameters like ; filename="x": {value[:200]!r}')
    return kind.rstrip() + "".join([parameter(one[1], _unquoted(one[2].strip())) for one in found])


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text
