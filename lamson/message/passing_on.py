"""A message that came, with fields of ours on top, and otherwise as it was.

For `Delivery.forward`. What is not touched keeps its signatures. Only two things are: a field that
may stand once is replaced by ours, and a prefix is put into the Subject field, where it stands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.message.compose import MAX_LINE, encode_words, encoded_field, is_plain
from lamson.message.response import written_field

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import TypeAlias

    from lamson.message.mailboxes import Addresses

    Fields: TypeAlias = "Mapping[str, Addresses] | Sequence[tuple[str, Addresses]]"

# RFC 5322 section 3.6; RFC 2369 section 4 and RFC 2919 section 9 for those of lists.
_ONCE = frozenset(
    {"from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references"}
    | {"subject", "date", "list-id", "list-post", "list-help", "list-owner", "list-archive"}
    | {"list-subscribe", "list-unsubscribe", "list-unsubscribe-post"}
)
_HEADER_END = re.compile(rb"(?:\A|\n)\r?\n")
_BARE_CR = re.compile(rb"\r(?!\n)")
_SUBJECT = re.compile(rb"(?im)^subject[ \t]*:[ \t]*")
_FIELD = rb"(?im)^(?:%b)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z)"


def with_fields(
    content: bytes,
    fields: Fields,
    *,
    subject: str = "",
    prefix: str = "",
    utf8: bool = False,
    without: Collection[str] = (),
) -> bytes:
    """``content`` with ``fields`` on top, and ``prefix`` before its subject, unless that has it.

    ``subject`` is the text of the Subject field. Characters beyond ASCII become encoded words,
    unless the message is in ``utf8``. ``without`` are names of fields to take off. Raises
    ValueError for what cannot be a field.
    """
    if _BARE_CR.search(content):  # a line end when it is sent: a field may hide behind it
        content = _BARE_CR.sub(b"\r\n", content)
    pairs = list(fields.items() if hasattr(fields, "items") else fields)
    prefix = prefix.strip()
    for at, (name, value) in enumerate(pairs):
        if prefix and name.lower() == "subject" and isinstance(value, str):
            is_there = prefix.lower() in value.lower()
            pairs[at] = name, value if is_there else f"{prefix} {value}"
    block = b"".join(written_field(name, value, utf8=utf8) for name, value in pairs)
    replaced = {name.lower() for name, _ in pairs} & _ONCE | {name.lower() for name in without}
    found = _HEADER_END.search(content)
    end = len(content) if found is None else found.start() + 1
    header, rest = content[:end], content[end:]
    if content.startswith((b" ", b"\t", b"\n", b"\r\n")):  # a body without a header
        header, rest = b"", content if found and not found.start() else b"\r\n" + content
    if replaced and header:
        names = b"|".join(re.escape(name.encode()) for name in sorted(replaced))
        header = re.sub(_FIELD % names, b"", header)
    if prefix and "subject" not in replaced and prefix.lower() not in subject.lower():
        added, header = _prefixed(header, prefix, utf8=utf8)
        block += added
    first_line = content.find(b"\n")
    if first_line >= 0 and content[first_line - 1 : first_line] != b"\r":
        block = block.replace(b"\r\n", b"\n")
    return b"".join((block, header, rest))


def _prefixed(header: bytes, prefix: str, *, utf8: bool) -> tuple[bytes, bytes]:
    """A Subject field to put on top, where there is none, and the header with its prefix."""
    found = _SUBJECT.search(header)
    if found is None:
        return encoded_field("Subject", prefix, utf8=utf8), header
    at = found.end()
    line = header[at:].partition(b"\n")[0].rstrip(b"\r")
    if is_plain(prefix, utf8=utf8):
        text = prefix
    else:  # blanks between two encoded words are not shown (RFC 2047 section 6.2)
        text = encode_words(f"{prefix} " if line.startswith(b"=?") else prefix)
    octets = text.encode()
    if line:
        is_long = at - found.start() + len(octets) + 1 + len(line) > MAX_LINE
        octets += b"\r\n " if is_long else b" "
    return b"", header[:at] + octets + header[at:]
