"""An address that a route takes, made up from its pattern.

For the doctor, which offers it to Postfix: whatever an operator's tables have against the addresses
of the application shows there. It is as plain as the pattern lets it be. None where the pattern is
no plain regular expression, or where nothing can be made up that it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.errors import AddressError
from lamson.routing.syntax import (
    Alternatives,
    Characters,
    Concatenation,
    Edge,
    Repetition,
    SyntaxUnknown,
)
from lamson.routing.tail import listed, split_at_domain
from lamson.smtp import address, folding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.routing.pattern import Pattern
    from lamson.routing.syntax import Node

_WORDS = ("lamson-check", "lamsoncheck", "20010101")
_LIKED = "lamsonckehx0123456789-"
_MOST = 64  # octets of a local part (RFC 5321, section 4.5.3.1.1)


def addresses(pattern: Pattern, domains: frozenset[str]) -> Iterator[str]:
    """For each of the ``domains`` that the pattern takes, an address in it."""
    try:
        branches = split_at_domain(pattern)
    except SyntaxUnknown:
        return
    for head, tail in branches:
        local = None if head is None else _text(Concatenation(head))
        if local is None or len(local.encode()) > _MOST:
            continue
        words = listed(tail)
        taken = domains if words is None else domains & set(map(folding.written_domain, words))
        for domain in sorted(taken):
            one = f"{local or _WORDS[0]}@{domain}"
            if _is_address(one) and pattern.match(one) is not None:
                yield one


def _text(node: Node) -> str | None:
    """A text that the node matches; None where none that is plain does."""
    if isinstance(node, Edge):
        return ""
    if isinstance(node, Characters):
        return _character(node)
    if isinstance(node, Alternatives):
        return next((text for one in node.items if (text := _text(one)) is not None), None)
    if isinstance(node, Repetition):
        return _repeated(node)
    texts = [_text(one) for one in node.items]
    return None if None in texts else "".join(one or "" for one in texts)


def _repeated(node: Repetition) -> str | None:
    if node.least == 0:
        return ""
    if isinstance(node.item, Characters) and node.most != 1:
        for word in _WORDS:
            fits = node.least <= len(word) and (node.most is None or len(word) <= node.most)
            if fits and all(ord(letter) in node.item for letter in word):
                return word
    once = _text(node.item)
    return None if once is None or node.least > _MOST else once * node.least


def _character(node: Characters) -> str | None:
    for letter in _LIKED:
        if ord(letter) in node:
            return letter
    for first, last in node.ranges:
        for code in range(first, min(last, first + _MOST) + 1):
            if chr(code).isprintable() and chr(code) not in ' @"\\(),:;<>[]':
                return chr(code).lower()
    return None


def _is_address(text: str) -> bool:
    try:
        address.parse_mailbox(text, smtputf8=True)
    except AddressError:
        return False
    return True
