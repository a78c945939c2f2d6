"""A route's syntax tree as an expression for Postfix's ``regexp:`` and ``pcre:`` tables.

For `lamson.postfix.tables`. Both tables ignore case and see octets, not characters, so a character
beyond ASCII is written as its UTF-8. What comes out is in the part that POSIX and PCRE have in
common. What cannot be said in it raises ValueError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.routing.syntax import LAST, Alternatives, Characters, Concatenation, Edge, Repetition

if TYPE_CHECKING:
    from lamson.routing.syntax import Node

_PRINTABLE = range(32, 127)  # what of ASCII an address can have
_PLAIN = frozenset(b"@_-=:;,'\"<>~&%!# ")
_FEW = 64  # characters beyond ASCII that are worth being written one by one
_ONE_BEYOND_ASCII = b"[\xc2-\xf4][\x80-\xbf]+"


def expression(tree: Node) -> bytes:
    """The expression that matches what the tree matches, anchored at both ends."""
    return b"^" + _grouped(_written(tree)) + b"$"


def part(tree: Node) -> bytes:
    """The same, to stand within another expression."""
    return _grouped(_written(tree))


def literal(text: str) -> bytes:
    """An expression that matches this text alone."""
    return b"".join(_octet(octet) for octet in text.encode())


def _written(node: Node) -> bytes:
    if isinstance(node, Characters):
        return _characters(node)
    if isinstance(node, Edge):
        return b"^" if node.is_start else b"$"
    if isinstance(node, Alternatives):
        return b"(" + b"|".join(map(_written, node.items)) + b")"
    if isinstance(node, Concatenation):
        return b"".join(map(_written, node.items))
    return _repetition(node)


def _repetition(node: Repetition) -> bytes:
    least, most = node.least, node.most
    is_of_octets = most is None and least <= 1 and isinstance(node.item, Characters)
    if is_of_octets and isinstance(node.item, Characters) and _has_all_beyond(node.item):
        item = _octets(node.item)  # as many as one likes: octets are as good as characters
    else:
        item = _grouped(_written(node.item))
    if most is None and least <= 1:
        return item + (b"+" if least else b"*")
    if (least, most) == (0, 1):
        return item + b"?"
    if most is None:
        return item + b"{%d,}" % least
    return item + (b"{%d}" % least if least == most else b"{%d,%d}" % (least, most))


def _grouped(written: bytes) -> bytes:
    """In parentheses; also where it has some, which need not belong together."""
    return b"(" + written + b")"


def _characters(node: Characters) -> bytes:
    parts = []
    ascii_codes = _ascii(node)
    if len(ascii_codes) == 1:
        parts.append(_octet(ascii_codes[0]))
    elif ascii_codes:
        parts.append(b"[" + _members(ascii_codes) + b"]")
    if _has_all_beyond(node):
        parts.append(_ONE_BEYOND_ASCII)
    else:
        beyond = [(max(first, 128), last) for first, last in node.ranges if last > 127]
        if sum(last - first + 1 for first, last in beyond) > _FEW:
            raise ValueError("it has a large part of the characters beyond ASCII, but not all")
        parts += [literal(chr(c)) for first, last in beyond for c in range(first, last + 1)]
    if not parts:
        raise ValueError("it asks for a character that no address has")
    return parts[0] if len(parts) == 1 else b"(" + b"|".join(parts) + b")"


def _octets(node: Characters) -> bytes:
    missing = sorted(set(_PRINTABLE) - set(_ascii(node, is_folded=False)))
    return b"[^" + _members(missing) + b"]" if missing else b"."


def _ascii(node: Characters, *, is_folded: bool = True) -> list[int]:
    """The characters of ASCII; folded, without the capitals, as tables ignore case."""
    codes = [code for code in _PRINTABLE if code in node]
    return [code for code in codes if not (is_folded and 65 <= code <= 90)]


def _has_all_beyond(node: Characters) -> bool:
    return any(first <= 128 and last == LAST for first, last in node.ranges)


def _members(codes: list[int]) -> bytes:
    """What stands between brackets; both kinds of tables have to read the same."""
    special = {ord(c) for c in "]\\[^-"}
    plain = [code for code in codes if code not in special]
    written = b"]" if ord("]") in codes else b""
    position = 0
    while position < len(plain):
        end = position
        while end + 1 < len(plain) and _follows(plain[end + 1], plain[end]):
            end += 1
        if end - position >= 3:
            written += b"%c-%c" % (plain[position], plain[end])
        else:
            written += bytes(plain[position : end + 1])
        position = end + 1
    if ord("\\") in codes:
        written += b"\\\\"  # once is enough for POSIX, which does not mind
    if ord("[") in codes:
        written += b"["
    if ord("^") in codes:
        written = written + b"^" if written else b"^"
    if ord("-") in codes:
        written = b"-^" if written == b"^" else written + b"-"
    return written


def _follows(code: int, before: int) -> bool:
    """Whether both may be in one range: where case is ignored, glibc knows only letters in those
    that have nothing but letters."""
    return code == before + 1 and chr(code).isalpha() == chr(before).isalpha()


def _octet(octet: int) -> bytes:
    is_plain = octet > 127 or octet in _PLAIN or chr(octet).isalnum()
    return bytes([octet]) if is_plain else b"\\" + bytes([octet])
