"""Tails: what the addresses of a pattern end with, from their last @ on, and the domains in that.

For `lamson.routing.domains`. A tail is a syntax tree; of one that stands for a few domains they can
be listed. What cannot be described raises SyntaxUnknown.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from lamson.routing import syntax
from lamson.routing.syntax import Alternatives, Characters, Concatenation, Edge, Repetition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.routing.pattern import Pattern
    from lamson.routing.syntax import Node

MOST = 1000  # domains that one route is worth listing
AT = ord("@")


def tails_of(pattern: Pattern) -> list[Node]:
    """What may stand behind the last @ that every address of the pattern has, for each
    alternative; or, beginning with an @, all that is known of the address."""
    return [tail for _, tail in split_at_domain(pattern)]


def split_at_domain(pattern: Pattern) -> list[tuple[tuple[Node, ...] | None, Node]]:
    """For each alternative what stands before that @, and the tail from the @ on.

    None and all of the address where no @ stands apart.
    """
    if pattern.pieces:
        items = [
            item
            for piece in pattern.pieces
            for item in items_of(_parsed(piece.source, pattern.engine))
        ]
        return [_split(items)]
    tree = _parsed(pattern.source, pattern.engine)
    branches = tree.items if isinstance(tree, Alternatives) else (tree,)
    return [_split(items_of(branch)) for branch in branches]


@functools.lru_cache(4096)
def _parsed(source: str, engine: str) -> Node:
    return syntax.parse(source, engine=engine)


def items_of(tree: Node) -> tuple[Node, ...]:
    return tree.items if isinstance(tree, Concatenation) else (tree,)


def _split(items: Sequence[Node]) -> tuple[tuple[Node, ...] | None, Node]:
    for number in range(len(items) - 1, -1, -1):
        item = items[number]
        if isinstance(item, Characters) and item.ranges == ((AT, AT),):
            return tuple(items[:number]), Concatenation(tuple(items[number:]))
    return None, Concatenation(tuple(items))


def listed(tail: Node) -> frozenset[str] | None:
    """The domains of a tail; None where they are too many, or where the @ is not known."""
    items = items_of(tail)
    if not items or items[0] != Characters(((AT, AT),)):
        return None
    words = _words(Concatenation(items[1:]))
    return None if words is None or any("@" in word for word in words) else words


def _words(node: Node) -> frozenset[str] | None:
    """All texts that the node matches, in lower case; None where they are too many."""
    if isinstance(node, Characters):
        if node.count > MOST:
            return None
        return frozenset(
            chr(code).lower() for first, last in node.ranges for code in range(first, last + 1)
        )
    if isinstance(node, Edge):
        return frozenset({""})
    if isinstance(node, Alternatives):
        branches = [_words(item) for item in node.items]
        found = {word for words in branches for word in words or ()}
        return None if None in branches or len(found) > MOST else frozenset(found)
    if isinstance(node, Repetition):
        once = _words(node.item)
        if once is None or (node.most is None and once != {""}):
            return None
        found, power = set(), frozenset({""})
        for count in range((node.most or 0) + 1):
            if count >= node.least:
                found |= power
            product = _product(power, once)
            if product is None or len(found) > MOST:
                return None
            power = product
        return frozenset(found)
    texts: frozenset[str] | None = frozenset({""})
    for item in node.items:
        words = _words(item)
        texts = None if texts is None or words is None else _product(texts, words)
    return texts


def _product(some: frozenset[str], others: frozenset[str]) -> frozenset[str] | None:
    if len(some) * len(others) > MOST:
        return None
    return frozenset(one + other for one in some for other in others)
