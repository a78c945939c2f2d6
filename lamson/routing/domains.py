"""The mail domains of an application, worked out from its routes.

For the socketmap's map `domain`, for the tables that are generated for Postfix, and for the rule
that mail goes out with an envelope sender of our own. A domain is ours if the setting `domains`
names it or if a route can match an address in it. Most routes end with a few domains, which can
be listed; those of a route such as ``(user)@[a-z]+\\.test\\.com`` can only be recognised. A route
that takes mail for every domain there is makes no domain ours: Postfix would relay for the world.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from lamson.errors import RouteError
from lamson.routing import syntax
from lamson.routing.syntax import (
    Alternatives,
    Characters,
    Concatenation,
    Edge,
    Repetition,
    SyntaxUnknown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lamson.routing.pattern import Pattern
    from lamson.routing.router import Route
    from lamson.routing.syntax import Node

MOST = 1000  # domains that one route is worth listing
_AT = ord("@")
_REMEMBERED = 10_000  # domains asked for

# Nobody writes a pattern for these: what matches both of a pair matches anything, the second one
# what matches any name without digits and hyphens.
_ANYTHING = (("xn--lamson-0123456789.invalid", "qzx.wvk-17.example"), ("qzx.wvk", "wvk.qzj"))


class _Open(NamedTuple):
    """A route whose domains cannot be listed, and what its address ends with, from the @ on."""

    route: Route
    tail: _Automaton | None  # None where it is for any domain, or cannot be described
    why: str


class Domains:
    """The domains of ``routes``, and ``declared`` ones besides."""

    def __init__(self, routes: Sequence[Route], declared: Iterable[str] = ()) -> None:
        self.declared = frozenset(map(str.lower, declared))
        found = set(self.declared)
        self._open: list[_Open] = []
        known: dict[Node, frozenset[str] | tuple[_Automaton | None, str]] = {}
        for route in routes:
            try:
                tails = _tails(route.pattern)
            except SyntaxUnknown as unknown:
                self._open.append(_Open(route, None, str(unknown)))
                continue
            for tail in tails:
                if tail not in known:
                    known[tail] = _listed(tail) or _recognised(tail)
                domains = known[tail]
                if isinstance(domains, frozenset):
                    found |= domains
                else:
                    self._open.append(_Open(route, *domains))
        self.listed = frozenset(found)
        """All domains that can be listed, in lower case."""
        self._automata = list({id(one.tail): one.tail for one in self._open if one.tail}.values())
        self.holds = functools.lru_cache(_REMEMBERED)(self._holds)
        """Whether a domain is ours: ``holds(domain)``. Takes microseconds for one asked before."""

    def _holds(self, domain: str) -> bool:
        domain = domain.lower()
        if domain in self.listed:
            return True
        # Who names the domains means these, whatever else the pattern of a host would take.
        return not self.declared and any(one.matches(domain) for one in self._automata)

    def complete(self) -> tuple[str, ...]:
        """All domains, sorted, where they can be listed.

        Raises RouteError for the first route of which they cannot, unless the setting `domains`
        says which there are.
        """
        if self._open and not self.declared:
            route, _, why = self._open[0]
            raise RouteError(
                f"the domains of {route.format!r} are no finite list ({why}); give its host a"
                r" pattern such as (test\.com|test\.org), or name the domains in the setting"
                " domains",
                file=route.file,
                line=route.line,
            )
        return tuple(sorted(self.listed))

    @property
    def unlisted(self) -> tuple[tuple[Route, str], ...]:
        """The routes whose domains cannot be listed, and why, in words."""
        return tuple((one.route, one.why) for one in self._open)

    @property
    def for_anybody(self) -> tuple[Route, ...]:
        """The routes that make no domain ours since they take any, or cannot be understood."""
        return tuple(one.route for one in self._open if one.tail is None)


def _tails(pattern: Pattern) -> list[Node]:
    """What may stand behind the last @ that every address of the pattern has, for each
    alternative; or, beginning with an @, all that is known of the address."""
    if pattern.pieces:
        items = [
            item
            for piece in pattern.pieces
            for item in _items(_parsed(piece.source, pattern.engine))
        ]
        return [_tail(items)]
    tree = _parsed(pattern.source, pattern.engine)
    branches = tree.items if isinstance(tree, Alternatives) else (tree,)
    return [_tail(_items(branch)) for branch in branches]


@functools.lru_cache(4096)
def _parsed(source: str, engine: str) -> Node:
    return syntax.parse(source, engine=engine)


def _items(tree: Node) -> tuple[Node, ...]:
    return tree.items if isinstance(tree, Concatenation) else (tree,)


def _tail(items: Sequence[Node]) -> Node:
    for number in range(len(items) - 1, -1, -1):
        item = items[number]
        if isinstance(item, Characters) and item.ranges == ((_AT, _AT),):
            return Concatenation(tuple(items[number:]))
    return Concatenation(tuple(items))


def _listed(tail: Node) -> frozenset[str] | None:
    """The domains of a tail; None where they are too many, or where the @ is not known."""
    items = _items(tail)
    if not items or items[0] != Characters(((_AT, _AT),)):
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


def _recognised(tail: Node) -> tuple[_Automaton | None, str]:
    automaton = _Automaton(tail)
    if any(all(map(automaton.matches, pair)) for pair in _ANYTHING):
        return None, "it takes any domain"
    if syntax.ANY in _items(tail):
        return automaton, "its . stands for any character; a dot is written \\."
    return automaton, f"more than {MOST} are possible"


class _Automaton:
    """Tells whether a tail, or an end of it that follows an @, matches a domain."""

    def __init__(self, tail: Node) -> None:
        self._moves: list[list[tuple[Characters, int]]] = []
        self._jumps: list[list[int]] = []
        start, self._end = self._state(), self._state()
        self._add(tail, start, self._end)
        after_at = {
            target
            for state in self._closure({start}, all_moves=True)
            for characters, target in self._moves[state]
            if _AT in characters
        }
        self._starts = self._closure(after_at)

    def matches(self, domain: str) -> bool:
        states = self._starts
        for character in domain:
            code = ord(character)
            states = self._closure(
                {
                    target
                    for state in states
                    for characters, target in self._moves[state]
                    if code in characters and code != _AT
                }
            )
            if not states:
                return False
        return self._end in states

    def _state(self) -> int:
        self._moves.append([])
        self._jumps.append([])
        return len(self._moves) - 1

    def _add(self, node: Node, start: int, end: int) -> None:
        if isinstance(node, Characters):
            self._moves[start].append((node, end))
        elif isinstance(node, Edge):
            self._jumps[start].append(end)
        elif isinstance(node, Alternatives):
            for item in node.items:
                self._add(item, start, end)
        elif isinstance(node, Concatenation):
            self._add_all(iter(node.items), start, end)
        else:
            self._add_repetition(node, start, end)

    def _add_all(self, items: Iterator[Node], start: int, end: int) -> None:
        for item in items:
            middle = self._state()
            self._add(item, start, middle)
            start = middle
        self._jumps[start].append(end)

    def _add_repetition(self, node: Repetition, start: int, end: int) -> None:
        for _ in range(node.least):
            middle = self._state()
            self._add(node.item, start, middle)
            start = middle
        if node.most is None:
            middle = self._state()  # of its own, lest what comes before be taken again
            self._jumps[start].append(middle)
            again = self._state()
            self._add(node.item, middle, again)
            self._jumps[again].append(middle)
            self._jumps[middle].append(end)
            return
        for _ in range(node.most - node.least):
            self._jumps[start].append(end)
            middle = self._state()
            self._add(node.item, start, middle)
            start = middle
        self._jumps[start].append(end)

    def _closure(self, states: set[int], *, all_moves: bool = False) -> frozenset[int]:
        found, todo = set(states), list(states)
        while todo:
            state = todo.pop()
            reached = list(self._jumps[state])
            if all_moves:
                reached += [target for _, target in self._moves[state]]
            for target in reached:
                if target not in found:
                    found.add(target)
                    todo.append(target)
        return frozenset(found)
