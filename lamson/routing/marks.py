"""Marks: many patterns that differ in a plain text alone, found by looking that text up.

For a PatternSet. Of thousands of routes most are made alike: ``list17-confirm-(token)@(host)``, or
``(list_name)-command17-(token)@(host)``: a capture or nothing, then plain text, their mark, then
what is the same for all of them. RE2 has an automaton for such a set, but makes some fifteen states
for each pattern when it is first asked for, and has them in memory that no processor keeps near. So
the mark is looked up as a key, and two regexes, which all share, tell whether what stands before it
and behind it matches. What a lookup costs does not depend on how many patterns there are.

Addresses are given as `lamson.smtp.folding.spellings` has them, in which nothing beyond ASCII is
another case of a letter in it.
"""

from __future__ import annotations

import functools
import re
import string
from typing import TYPE_CHECKING, Any, NamedTuple

from lamson.routing import syntax
from lamson.routing.automata import automata
from lamson.routing.pattern import compile_source
from lamson.routing.syntax import SyntaxUnknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lamson.routing.pattern import Pattern
    from lamson.routing.syntax import Node

_PLAIN = re.compile(r"(?:(?:[\w@~=/,:;<>%&'\"#!-]|\\[!-/:-@\[-`{-~])(?![?*+{]))+", re.ASCII)
_ESCAPED = re.compile(r"\\(.)")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_REMEMBERED = 1024  # leads
_MOST_LENGTHS = 24  # of marks: each is looked up
_MEMORY = 8 << 20  # octets that RE2 may use for what is behind the marks


class Form(NamedTuple):
    """What the patterns with marks share: the regexes before the mark, if any, and behind it."""

    lead: str
    tail: str


class Marked(NamedTuple):
    """A pattern taken apart."""

    form: Form
    mark: str


def marked(pattern: Pattern) -> Marked | None:
    """The form and the mark of a pattern of RE2; None where it has none."""
    pieces = pattern.pieces
    first = 1 if pieces and pieces[0].name else 0
    if len(pieces) <= first or pieces[first].name:
        return None
    lead, source = "".join(piece.source for piece in pieces[:first]), pieces[first].source
    plain = _PLAIN.match(source)
    if plain is None:
        return None
    tail = source[plain.end() :] + "".join(piece.source for piece in pieces[first + 1 :])
    return Marked(Form(lead, tail), lower_case(_ESCAPED.sub(r"\1", plain[0])))


class Marks:
    """Patterns of one form, by their marks; several numbers have the same where routes are."""

    def __init__(self, form: Form, marks: Mapping[str, Sequence[int]]) -> None:
        self._marks = marks
        self._lengths = sorted({len(mark) for mark in marks})
        self._begin = _common_begin(marks)
        self._is_first = not form.lead
        (tail,) = automata([(0, form.tail)], _MEMORY, is_search=False)
        self._is_tail = tail.set.Match
        self._is_lead = _remembering(compile_source(form.lead, "re2"))

    @staticmethod
    def suits(form: Form, marks: Mapping[str, Sequence[int]]) -> bool:
        """Whether they can be found so: quickly, and as one regex would find them."""
        has_begin = not form.lead or _common_begin(marks) != ""
        is_quick = has_begin and len({len(mark) for mark in marks}) <= _MOST_LENGTHS
        return is_quick and all(map(_is_plain, form))

    def find(self, address: str) -> Sequence[int]:
        """The numbers of the patterns that match the whole of a `lower_case` address."""
        if self._is_first:
            return self._found_at(0, address) if address.startswith(self._begin) else ()
        found: list[int] = []
        place = address.find(self._begin)
        while place >= 0:
            numbers = self._found_at(place, address)
            if numbers and self._is_lead(address[:place]):
                found += numbers
            place = address.find(self._begin, place + 1)
        return found if len(found) < 2 else list(dict.fromkeys(found))

    def _found_at(self, place: int, address: str) -> list[int]:
        """Those whose mark stands there, and whose tail matches the rest."""
        found: list[int] = []
        for length in self._lengths:
            end = place + length
            if end > len(address):
                break
            numbers = self._marks.get(address[place:end])
            if numbers is not None and self._is_tail(address[end:].encode()):
                found += numbers
        return found


def lower_case(spelling: str) -> str:
    """An address as marks are looked for in it: the letters of ASCII in lower case."""
    return spelling.lower() if spelling.isascii() else spelling.translate(_LOWER)


def _common_begin(marks: Iterable[str]) -> str:
    least, most = min(marks), max(marks)
    for place, letter in enumerate(least):
        if most[place : place + 1] != letter:
            return least[:place]
    return least


def _remembering(lead: Any) -> Callable[[str], bool]:
    """Whether a text is the lead: those of one project are few, the names of its lists."""

    @functools.lru_cache(_REMEMBERED)
    def is_lead(text: str) -> bool:
        return lead.fullmatch(text.encode()) is not None

    return is_lead


def _is_plain(source: str) -> bool:
    """It matches a text as it would match it within a longer one: it looks at no edge of it."""
    try:
        return not _has_edge(syntax.parse(source))
    except SyntaxUnknown:
        return False


def _has_edge(node: Node) -> bool:
    if isinstance(node, syntax.Repetition):
        return _has_edge(node.item)
    if isinstance(node, syntax.Alternatives | syntax.Concatenation):
        return any(map(_has_edge, node.items))
    return isinstance(node, syntax.Edge)
