"""The syntax tree of a route's regular expression: what it can match, without matching anything.

For `lamson.routing.domains`, which works out the mail domains that the routes reach, and for the
tables that are generated for Postfix. Read is the source of a Pattern, in the dialect that RE2 and
the standard library share, plus RE2's own spellings; upper and lower case are made the same here.
What is no plain regular expression (look-around, back-references, word boundaries) raises
SyntaxUnknown: a caller must not guess about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

LAST = 0x10FFFF  # the last code point

Ranges = tuple[tuple[int, int], ...]

_REPEAT = re.compile(r"([*+?]|\{(\d+)(,(\d*))?\})[?+]?")
_GROUP = re.compile(r"\(\?P?<[^>]*>|\(\?:|\((?!\?)")
_HEXADECIMAL = re.compile(r"\\x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))")
_OCTAL = re.compile(r"\\0([0-7]{0,2})")
_TO = re.compile(r"-[^\]]")  # within brackets
_POSIX = re.compile(r"\[:(\^?)([a-z]+):\]")

_DIGIT, _UPPER, _LOWER = (48, 57), (65, 90), (97, 122)
_SPACE = ((9, 10), (12, 13), (32, 32))  # RE2's \s has no vertical tab
_CLASSES: dict[str, Ranges] = {
    "d": (_DIGIT,),
    "w": (_DIGIT, _UPPER, (95, 95), _LOWER),
    "s": _SPACE,
}
_NAMED: dict[str, Ranges] = {
    "alnum": (_DIGIT, _UPPER, _LOWER),
    "alpha": (_UPPER, _LOWER),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": (_DIGIT,),
    "graph": ((33, 126),),
    "lower": (_LOWER,),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": (_UPPER,),
    "word": _CLASSES["w"],
    "xdigit": (_DIGIT, (65, 70), (97, 102)),
}
_CONTROL = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_FOLDED_AT_MOST = 2048  # characters beyond ASCII whose other case is looked up, in one range


class SyntaxUnknown(ValueError):
    """The regular expression uses something that this module does not describe."""


@dataclass(frozen=True, slots=True)
class Characters:
    """One character out of these ranges of code points, which are sorted and do not touch."""

    ranges: Ranges

    def __contains__(self, code: int) -> bool:
        return any(first <= code <= last for first, last in self.ranges)

    @property
    def count(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class Concatenation:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repetition:
    """``most`` is None where there is no limit."""

    item: Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Edge:
    """The start of the address, or its end."""

    is_start: bool


Node = Characters | Concatenation | Alternatives | Repetition | Edge

ANY = Characters(((0, 9), (11, LAST)))


def parse(source: str, *, engine: str = "re2") -> Node:
    """The tree of the source of a Pattern with that engine. Raises SyntaxUnknown."""
    return _Parser(source, engine).parse()


def merged(ranges: list[tuple[int, int]]) -> Ranges:
    """The same characters, sorted, and no two ranges that touch."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return tuple(result)


def complement(ranges: Ranges) -> Ranges:
    """All other characters."""
    result, start = [], 0
    for first, last in ranges:
        if first > start:
            result.append((start, first - 1))
        start = last + 1
    if start <= LAST:
        result.append((start, LAST))
    return tuple(result)


def folded(ranges: Ranges) -> Ranges:
    """With the other case of each character. That of large ranges beyond ASCII is not looked up."""
    result = list(ranges)
    for first, last in ranges:
        for lower, upper, shift in ((65, 90, 32), (97, 122, -32)):
            if first <= upper and last >= lower:
                result.append((max(first, lower) + shift, min(last, upper) + shift))
        if last > 127 and last - max(first, 128) < _FOLDED_AT_MOST:
            for code in range(max(first, 128), last + 1):
                for other in (chr(code).lower(), chr(code).upper()):
                    if len(other) == 1 and ord(other) > 127:
                        result.append((ord(other), ord(other)))
    return merged(result)


class _Parser:
    def __init__(self, source: str, engine: str) -> None:
        self._source = source
        self._is_re2 = engine == "re2"
        self._position = 0

    def parse(self) -> Node:
        tree = self._alternatives()
        if self._position < len(self._source):
            self._unknown()
        return tree

    def _unknown(self) -> NoReturn:
        rest = self._source[self._position : self._position + 12]
        raise SyntaxUnknown(f"{rest!r} cannot be described in {self._source!r}")

    def _peek(self) -> str:
        return self._source[self._position : self._position + 1]

    def _alternatives(self) -> Node:
        items = [self._concatenation()]
        while self._peek() == "|":
            self._position += 1
            items.append(self._concatenation())
        return items[0] if len(items) == 1 else Alternatives(tuple(items))

    def _concatenation(self) -> Node:
        items = []
        while self._peek() not in ("", "|", ")"):
            item = self._item()
            while (repeat := _REPEAT.match(self._source, self._position)) is not None:
                if repeat[0].endswith("+") and len(repeat[0]) > 1 and not self._is_re2:
                    self._unknown()  # possessive: matches less than it says
                self._position = repeat.end()
                item = _repeated(item, repeat)
            items.append(item)
        return items[0] if len(items) == 1 else Concatenation(tuple(items))

    def _item(self) -> Node:
        character = self._peek()
        if character == "(":
            group = _GROUP.match(self._source, self._position)
            if group is None:
                self._unknown()
            self._position = group.end()
            inner = self._alternatives()
            if self._peek() != ")":
                self._unknown()
            self._position += 1
            return inner
        if character == "[":
            return self._bracket()
        if character == "\\":
            return self._escape()
        if self._source.startswith("{,", self._position) and not self._is_re2:
            self._unknown()
        self._position += 1
        if character == ".":
            return ANY
        if character in "^$":
            return Edge(character == "^")
        return _single(ord(character))

    def _escape(self) -> Node:
        letter = self._source[self._position + 1 : self._position + 2]
        if letter in ("A", "z", "Z"):
            self._position += 2
            return Edge(letter == "A")
        return Characters(folded(self._escaped()))

    def _escaped(self) -> Ranges:
        """The characters of an escape, before case is looked at."""
        for numbered, base in ((_HEXADECIMAL, 16), (_OCTAL, 8)):
            if found := numbered.match(self._source, self._position):
                self._position = found.end()
                code = int(next(filter(None, found.groups()), "0"), base)
                return ((code, code),)
        letter = self._source[self._position + 1 : self._position + 2]
        if letter and letter.lower() in _CLASSES:
            if not self._is_re2:
                self._unknown()  # the standard library's know all of Unicode
            self._position += 2
            ranges = _CLASSES[letter.lower()]
            return complement(ranges) if letter.isupper() else ranges
        if letter in _CONTROL:
            code = _CONTROL[letter]
        elif letter and not letter.isalnum():
            code = ord(letter)
        else:
            self._unknown()
        self._position += 2
        return ((code, code),)

    def _bracket(self) -> Node:
        self._position += 1
        is_negated = self._peek() == "^"
        self._position += is_negated
        ranges: list[tuple[int, int]] = []
        is_first = True
        while is_first or self._peek() != "]":
            is_first = False
            if posix := self._is_re2 and _POSIX.match(self._source, self._position):
                self._position = posix.end()
                named = _NAMED.get(posix[2])
                if named is None:
                    self._unknown()
                ranges += complement(named) if posix[1] else named
                continue
            found = self._in_bracket()
            is_one = len(found) == 1 and found[0][0] == found[0][1]
            if is_one and _TO.match(self._source, self._position):
                self._position += 1
                end = self._in_bracket()
                if len(end) != 1 or end[0][0] != end[0][1] or end[0][0] < found[0][0]:
                    self._unknown()
                found = ((found[0][0], end[0][0]),)
            ranges += found
        self._position += 1
        closed = folded(merged(ranges))
        return Characters(complement(closed) if is_negated else closed)

    def _in_bracket(self) -> Ranges:
        character = self._peek()
        if not character:
            self._unknown()
        if character == "\\":
            return self._escaped()
        self._position += 1
        return ((ord(character), ord(character)),)


def _single(code: int) -> Characters:
    return Characters(folded(((code, code),)))


def _repeated(item: Node, repeat: re.Match[str]) -> Repetition:
    sign = repeat[1]
    if sign in "*+?":
        return Repetition(item, int(sign == "+"), 1 if sign == "?" else None)
    least = int(repeat[2])
    if repeat[3] is None:
        return Repetition(item, least, least)
    return Repetition(item, least, int(repeat[4]) if repeat[4] else None)
