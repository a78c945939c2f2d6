"""Mismatches: in words, why a pattern does not match an address.

For `lamson routes --test ADDRESS`. It is a guess where a format is ambiguous, never an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import re2

from lamson.routing.pattern import compile_source

if TYPE_CHECKING:
    from lamson.routing.pattern import Pattern


def why_not(pattern: Pattern, address: str) -> str:
    """The first piece of the pattern's format that does not fit; "" where the address matches.

    The format is tried up to its first piece, then up to its second, and so on; what the pieces
    before have taken, as much as they can, is not said again.
    """
    if pattern.match(address) is not None:
        return ""
    source, taken = "", 0
    for piece in pattern.pieces:
        source += piece.source
        try:
            prefix = compile_source(source, pattern.engine)
            is_last = piece is pattern.pieces[-1]
            found = prefix.fullmatch(address) if is_last else prefix.match(address)
        except (re.error, re2.error, UnicodeEncodeError):  # a piece alone need not make sense
            break
        if found is None:
            rest = f"{address[taken:]!a}" if taken < len(address) else "the end"
            if piece.name:
                return f"{piece.name}: {rest} does not match {piece.text}"
            return f"{rest} does not match {piece.text}"
        taken = found.end()
    return f"{address!a} does not match {pattern.format}"
