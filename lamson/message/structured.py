"""Header fields whose value has a syntax: no encoded word may take the place of all of it.

For `MailResponse` and for what puts fields on top of a message. Such a field stands as it was
given, folded between its words; what looks like an encoded word in it is part of an address or an
id, and readers do not decode it there (RFC 2047 section 5). Beyond ASCII there is a place for words
in phrases and comments, and for percent-encoding in addresses of the web; else it is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from lamson.message.compose import MAX_LINE, encode_words, encoded_field, fold

# RFC 5322 section 3.6, 3834, 2369, 2919, 8058, 5064, 6376, 8601, 8617, 2045, 7681 and others.
_FIELDS = frozenset(
    {"message-id", "in-reply-to", "references", "resent-message-id", "supersedes", "content-id"}
    | {"date", "resent-date", "received", "return-path", "delivered-to", "mime-version"}
    | {"auto-submitted", "precedence", "authentication-results", "dkim-signature", "autocrypt"}
    | {"archived-at", "original-message-id", "x-auto-response-suppress", "feedback-id"}
)
_PREFIXES = ("list-", "arc-", "content-")
_OF_ENVELOPES = frozenset({"delivered-to"})  # an address as it was written to, in whatever script

_PIECE = re.compile(r"<[^<>]*>|\((?:[^()\\]|\\.)*\)|[^<(]+|[<(]")
_URI_SAFE = "!#$%&'()*+,/:;=?@[]~-._"
_ODD = re.compile("[^\t -~\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff]")


@lru_cache(256)
def is_field(name: str) -> bool:
    """Whether a field called ``name`` has such a value; fields of addresses are not asked about."""
    kind = name.lower()
    return kind in _FIELDS or kind.startswith(_PREFIXES)


def check(name: str, value: str) -> None:
    """Raise ValueError where ``value`` cannot stand in a field of that name.

    That it can be a field's at all was checked before.
    """
    is_fit = value.isascii() or name.lower() in _OF_ENVELOPES
    if is_fit and _ODD.search(value) is None:
        if len(value) + len(name) + 2 <= MAX_LINE:
            return
        longest = max(map(len, value.split()), default=0)
        if longest + len(name) + 2 > MAX_LINE:
            raise ValueError(f"header field {name} has a word of {longest} octets: too long a line")
    else:
        _encoded(name, value)


def field(name: str, value: str, *, utf8: bool = False) -> bytes:
    """The field as it stands in a message; raises ValueError as `check` does."""
    if not is_field(name):
        return encoded_field(name, value, utf8=utf8)
    if value.isascii() or (utf8 and _ODD.search(value) is None):
        return fold(name, value)
    return fold(name, _encoded(name, value))


def _encoded(name: str, value: str) -> str:
    """``value`` in ASCII: web addresses percent-encoded, words of phrases and comments encoded."""
    if _ODD.search(value):
        raise ValueError(f"header field {name} holds control characters: {value[:80]!r}")
    pieces = []
    for piece in _PIECE.findall(value):
        if piece.isascii():
            pieces.append(piece)
        elif piece.startswith("<") and ":" in piece:
            pieces.append(f"<{quote(piece[1:-1], safe=_URI_SAFE)}>")
        elif piece.startswith("(") and len(piece) > 1:
            pieces.append(f"({encode_words(piece[1:-1])})")
        elif piece.startswith("<") or not name.lower().startswith(_PREFIXES):
            raise ValueError(f"header field {name} must be ASCII: {value[:80]!r}")
        else:
            blank = piece[len(piece.rstrip()) :]
            pieces.append(encode_words(piece.strip().strip('"')) + blank)
    return "".join(pieces)
