"""A PatternSet: thousands of patterns asked at once which of them match an address.

For the Router. All the patterns of RE2 are one automaton, whose cost per address hardly grows with
their number; those of ``engine="re"`` are tried one after another. Where RE2 runs out of the memory
it is allowed, the patterns are spread over more automata: slower, never wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import re2

from lamson.pattern import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.pattern import Pattern

# What RE2 may use for one automaton and the states it keeps of it, which grow with the variety of
# addresses seen up to this limit and are then begun anew. 10,000 usual routes take some 50 MiB.
_MEMORY = 8 << 20
_MEMORY_PER_PATTERN = 8 << 10

# No address holds NUL, so nothing else matches this. It shows whether an automaton works at all.
_PROBE = b"\0lamson\0"
_PROBE_PATTERN = r"\x00lamson\x00"


class PatternSet:
    """The patterns of one Router, in its order."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = tuple(patterns)
        numbered = list(enumerate(self._patterns))
        self._slow = [(number, item) for number, item in numbered if item.engine != "re2"]
        fast = [(number, item.source) for number, item in numbered if item.engine == "re2"]
        self._automata = _automata(fast, _MEMORY + _MEMORY_PER_PATTERN * len(fast))

    def match(self, address: str) -> list[int]:
        """The numbers of the patterns that match the whole address, in ascending order."""
        try:
            octets = address.encode()
        except UnicodeEncodeError:  # a lone surrogate: no address at all
            return []
        if b"\0" in octets:
            return []
        found: list[int] = []
        for automaton, numbers in self._automata:
            for place in automaton.Match(octets) or ():
                found.append(numbers[place])
        for number, pattern in self._slow:
            if pattern.match(address) is not None:
                found.append(number)
        if len(found) > 1:
            found.sort()
        return found


def _automata(
    patterns: Sequence[tuple[int, str]], memory: int
) -> list[tuple[Any, tuple[int, ...]]]:
    """RE2 sets which hold all these patterns between them, each with the numbers of its patterns.

    Where memory does not suffice a set says so when it is compiled, or it finds nothing from then
    on; the probe tells the latter. Each half of it then gets the same memory.
    """
    if not patterns:
        return []
    automaton = re2.Set.FullMatchSet(options(memory=memory))
    try:
        for _, source in patterns:
            automaton.Add(source)
        automaton.Add(_PROBE_PATTERN)
        automaton.Compile()
        works = len(patterns) in (automaton.Match(_PROBE) or ())
    except re2.error:
        works = False
    if works:
        return [(automaton, tuple(number for number, _ in patterns))]
    if len(patterns) == 1:  # compiled alone before, so this limit was too low for it
        return _automata(patterns, memory * 4)
    middle = len(patterns) // 2
    return _automata(patterns[:middle], memory) + _automata(patterns[middle:], memory)
