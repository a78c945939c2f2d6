"""The ids in a field that names messages: Message-ID, References, In-Reply-To (RFC 5322, 3.6.4).

For `Message`, which tells what is there, and for answers, which write it again. Ids are taken
whole, from the field as it came: decoded, or cut, they would be the ids of nothing.
"""

from __future__ import annotations

import re

from lamson.message.encoded_words import unfold

MAX_FIELD = 1 << 16  # octets that are looked at: half of them from the end, where the parent is

# What is sent in practice. Blanks may stand within the brackets (RFC 5322 section 4.5.4), and a
# line may be folded there, also within the id.
_ID = re.compile(r"<\s{0,20}+([^<>\s]{1,900})\s{0,20}+>")
_IN_BRACKETS = re.compile(r"<[^<>]{1,1000}>")
_FOLDED = re.compile(rb"<[^<>\n]{1,1000}+(?:\n[ \t][^<>\n]{0,1000}+){1,20}+>")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_BARE = re.compile(r"(?<![^<>\s\"(),;])[^<>\s\"(),;]{1,400}@[^<>\s\"(),;]{1,400}")


def read(raw: bytes | None, *, bare: bool = False) -> list[str]:
    """The ids with their angle brackets, each once, in order.

    With ``bare`` those that have none, where the field has no brackets at all.
    """
    if raw is None:
        return []
    if len(raw) > MAX_FIELD:  # the brackets keep halves of ids apart
        raw = raw[: MAX_FIELD // 2] + b" <> " + raw[-(MAX_FIELD // 2) :]
    if b"\n" in raw:  # some fold long ids, or a line that is too long for the next server
        raw = _FOLDED.sub(lambda one: _FOLD.sub(b"", one[0]), raw)
    text = unfold(raw).decode("utf-8", "replace").replace("\0", "")
    found = _ID.findall(text)
    if not found and bare:
        found = _BARE.findall(_IN_BRACKETS.sub(" ", text))
    return [f"<{one}>" for one in dict.fromkeys(found)]


def writable(raw: bytes | None) -> list[str]:
    """Those of them that may stand in a field of ours: of printable ASCII."""
    return [one for one in read(raw) if one.isascii() and one.isprintable()]


def is_writable(text: str) -> bool:
    """Whether it is one id, and may stand in a field of ours."""
    return writable(text.encode("utf-8", "surrogatepass")) == [text]
