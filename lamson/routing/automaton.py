"""An automaton that recognises domains: those of a route that are too many to be listed.

For `lamson.routing.domains`. It follows all ways through a syntax tree at once: what a
stranger asks for costs time that grows with its length and with that of the route, and no faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.routing.syntax import Alternatives, Characters, Concatenation, Edge
from lamson.routing.tail import AT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.routing.syntax import Node, Repetition


class Automaton:
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
            if AT in characters
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
                    if code in characters and code != AT
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
