"""The spellings of a domain in tables for Postfix, which knows nothing of that they are one.

For `lamson.postfix.tables`. Postfix folds case before it asks for a recipient or a domain; for the
transport it asks as the client wrote the address, and both kinds of tables fold ASCII only: the
letters that it folds into ours are written out. A- and U-labels are two names to Postfix; in the
table of recipients a route stands with both.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

from lamson.postfix.expression import literal, part
from lamson.routing.syntax import Concatenation
from lamson.routing.tail import listed, split_at_domain
from lamson.smtp import folding

if TYPE_CHECKING:
    from lamson.routing.pattern import Pattern

_MOST = 64  # ways to divide a name into letters and ligatures that are worth being written


def as_written(domain: str) -> bytes:
    """An expression for all that Postfix folds into this domain."""
    tilings = _tilings(domain)
    if len(tilings) > _MOST:
        tilings = [list(domain)]
    return _one_of([b"".join(map(_letter, tiling)) for tiling in tilings])


def twins(pattern: Pattern) -> list[bytes]:
    """Expressions for what a pattern matches with its domains spelt otherwise. SyntaxUnknown."""
    found = []
    for head, tail in split_at_domain(pattern):
        words = listed(tail) or frozenset()
        forms = {form for word in words for form in _forms(word)} - words
        if head is not None and forms:
            ends = _one_of([literal(form) for form in sorted(forms)])
            found.append(b"^" + part(Concatenation(head)) + b"@" + ends + b"$")
    return found


def _forms(word: str) -> tuple[str, str]:
    labels = folding.written_domain(word)
    return labels, folding.u_labels(labels)


def _one_of(expressions: list[bytes]) -> bytes:
    return expressions[0] if len(expressions) == 1 else b"(" + b"|".join(expressions) + b")"


def _letter(text: str) -> bytes:
    return _one_of([literal(one) for one in (text, *_unfolded().get(text, ()))])


def _tilings(text: str) -> list[list[str]]:
    """All ways to divide a text into letters, and into what a single letter is folded to."""
    ways: list[list[list[str]]] = [[[]]]
    for end in range(1, len(text) + 1):
        ways.append(
            [
                [*before, text[start:end]]
                for start in range(max(end - 3, 0), end)
                if end - start == 1 or text[start:end] in _unfolded()
                for before in ways[start][: _MOST + 1]
            ]
        )
    return ways[-1]


@cache
def _unfolded() -> dict[str, list[str]]:
    """By what it is folded to, each letter beyond ASCII that is."""
    found = defaultdict(list)
    for code in range(128, 0x20000):
        folded = chr(code).casefold()
        if folded != chr(code):
            found[folded].append(chr(code))
    return dict(found)
