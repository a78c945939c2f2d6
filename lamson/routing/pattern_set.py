"""A PatternSet: thousands of patterns asked at once which of them match an address.

For the Router. Many patterns that differ in a plain text alone are found by that text
(`lamson.routing.marks`). The others of RE2 are compiled into an automaton or a few, whose cost
per address hardly grows with their number; those of ``engine="re"`` are tried one after another.
Where RE2 runs out of the memory it is allowed, the patterns are spread over more automata: slower,
never wrong.

RE2 makes the states of an automaton as addresses call for them. Thousands of patterns that begin
with the same capture are each in the middle of it at once, so that every state would hold them all,
and every new address would cost milliseconds. Such patterns are looked for by what comes after
that capture, which tells them apart; the few candidates are then matched in full.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from lamson.routing.automata import Automaton, automata
from lamson.routing.marks import Form, Marks, lower_case, marked
from lamson.smtp.folding import spellings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.routing.pattern import Pattern

_FEW = 100  # so many patterns are one automaton, whatever they begin with
_CROWD = 50  # so many that begin with the same capture get an automaton of their own ...
_MAX_CROWDS = 4  # ... but no more than these, as each is asked about each address
_MAX_FORMS = 8  # of patterns that are found by their marks: the same

# What RE2 may use for one automaton and its states; when they are too many it begins them anew.
_MEMORY = 8 << 20
_MEMORY_PER_PATTERN = 8 << 10


class PatternSet:
    """The patterns of one Router, in its order."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = tuple(patterns)
        numbers = range(len(self._patterns))
        self._slow = [n for n in numbers if self._patterns[n].engine != "re2"]
        fast = [n for n in numbers if self._patterns[n].engine == "re2"]
        self._marks: list[Marks] = []
        if len(fast) > _FEW:
            fast = self._find_by_marks(fast)
        leads = Counter(_lead(self._patterns[n]) for n in fast)
        crowds = [
            lead
            for lead, count in leads.most_common(_MAX_CROWDS + 1)
            if lead and count >= _CROWD and len(fast) > _FEW
        ]
        self._automata: list[Automaton] = []
        for lead in crowds[:_MAX_CROWDS]:
            crowd = [n for n in fast if _lead(self._patterns[n]) == lead]
            fast = [n for n in fast if _lead(self._patterns[n]) != lead]
            self._add([(n, _after_lead(self._patterns[n])) for n in crowd], is_search=True)
        self._add([(n, self._patterns[n].source) for n in fast], is_search=False)

    def match(self, address: str) -> list[int]:
        """The numbers of the patterns that match the whole address, in ascending order."""
        forms = spellings(address)
        if len(forms) == 1:
            return self._match(forms[0])
        return sorted({number for form in forms for number in self._match(form)})

    def _match(self, spelling: str) -> list[int]:
        try:
            octets = spelling.encode()
        except UnicodeEncodeError:  # a lone surrogate: no address at all
            return []
        if b"\0" in octets:
            return []
        found: list[int] = []
        if self._marks:
            lower = lower_case(spelling)
            for marks in self._marks:
                found += marks.find(lower)
        for automaton, numbers, is_search in self._automata:
            for place in automaton.Match(octets) or ():
                number = numbers[place]
                if not is_search or self._patterns[number].extract(spelling, octets) is not None:
                    found.append(number)
        for number in self._slow:
            if self._patterns[number].extract(spelling, octets) is not None:
                found.append(number)
        if len(found) > 1:
            found.sort()
        return found

    def _find_by_marks(self, numbers: Sequence[int]) -> list[int]:
        """Have those that can be found by their marks found so; returns the others."""
        forms: dict[Form, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number in numbers:
            taken_apart = marked(self._patterns[number])
            if taken_apart is not None:
                forms[taken_apart.form][taken_apart.mark].append(number)
        found: set[int] = set()
        for form, marks in sorted(forms.items(), key=lambda item: -len(item[1]))[:_MAX_FORMS]:
            if len(marks) >= _CROWD and Marks.suits(form, marks):
                self._marks.append(Marks(form, marks))
                found.update(chain.from_iterable(marks.values()))
        return [number for number in numbers if number not in found]

    def _add(self, patterns: Sequence[tuple[int, str]], *, is_search: bool) -> None:
        memory = _MEMORY + _MEMORY_PER_PATTERN * len(patterns)
        self._automata += automata(patterns, memory, is_search=is_search)


def _lead(pattern: Pattern) -> str:
    """The regex of the capture a pattern begins with; "" where it begins with anything else."""
    first = pattern.pieces[0] if pattern.pieces else None
    return first.source if first is not None and first.name and len(pattern.pieces) > 1 else ""


def _after_lead(pattern: Pattern) -> str:
    rest = "".join(piece.source for piece in pattern.pieces[1:])
    return rf"(?:{rest})\z"
