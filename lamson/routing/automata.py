"""Automata of RE2: sets of patterns that are asked at once which of them match.

For a PatternSet, and for Marks: one of a single pattern tells whether that matches in a third of
the time of a regex, which captures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import re2

from lamson.routing.pattern import options

if TYPE_CHECKING:
    from collections.abc import Sequence

# No address holds NUL, so nothing else matches this. It shows whether an automaton works at all.
_PROBE = b"\0lamson\0"
_PROBE_PATTERN = r"\x00lamson\x00"


class Automaton(NamedTuple):
    """A set of RE2, the numbers of its patterns, and whether a hit is a candidate only."""

    set: Any
    numbers: tuple[int, ...]
    is_search: bool


def automata(
    patterns: Sequence[tuple[int, str]], memory: int, *, is_search: bool
) -> list[Automaton]:
    """RE2 sets which hold all these patterns between them, each with the numbers of its patterns.

    Where memory does not suffice a set says so when it is compiled, or it finds nothing from then
    on; the probe tells the latter. Each half of it then gets the same memory.
    """
    if not patterns:
        return []
    chosen = options(memory=memory)
    chosen.never_capture = True  # a set only tells which; without captures its states are smaller
    automaton = re2.Set.SearchSet(chosen) if is_search else re2.Set.FullMatchSet(chosen)
    try:
        for _, source in patterns:
            automaton.Add(source)
        automaton.Add(_PROBE_PATTERN)
        automaton.Compile()
        works = len(patterns) in (automaton.Match(_PROBE) or ())
    except re2.error:
        works = False
    if works:
        return [Automaton(automaton, tuple(number for number, _ in patterns), is_search)]
    if len(patterns) == 1:  # compiled alone before, so this limit was too low for it
        return automata(patterns, memory * 4, is_search=is_search)
    middle = len(patterns) // 2
    return [
        *automata(patterns[:middle], memory, is_search=is_search),
        *automata(patterns[middle:], memory, is_search=is_search),
    ]
