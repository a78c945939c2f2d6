"""lamson.routing.syntax: what a regular expression says, held against what its engine matches."""

import re

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from lamson.routing.pattern import compile_source
from lamson.routing.syntax import (
    Alternatives,
    Characters,
    Concatenation,
    Edge,
    Node,
    Repetition,
    SyntaxUnknown,
    complement,
    folded,
    merged,
    parse,
)

SOURCES = [
    "abc",
    "a|b(?:c|d)e",
    "(?P<name>[a-z]+)@x",
    "[^@]+",
    "[]a-]x",
    "[^]^-]",
    "x{2}y{2,}z{1,3}w{,2}",
    r"\d\D\w\W\s\S",
    r"[\d.-][^\W_]",
    r"[[:alpha:]_-][[:^digit:]]",
    r"\.\-\@\x41\x{e9}\t",
    "ü[ä-ü]É?",
    "a*?b+?c??",
    "(?:ab|cd)*",
    "^a$",
    r"\Aa\z",
    "",
    "a||b",
]


def matches(node: Node, text: str) -> bool:
    """Slowly and plainly: which ends of the text can the node reach?"""
    return len(text) in _ends(node, text, 0)


def _ends(node: Node, text: str, start: int) -> set[int]:
    if isinstance(node, Characters):
        return {start + 1} if start < len(text) and ord(text[start]) in node else set()
    if isinstance(node, Edge):
        return {start} if start == (0 if node.is_start else len(text)) else set()
    if isinstance(node, Alternatives):
        return {end for item in node.items for end in _ends(item, text, start)}
    if isinstance(node, Concatenation):
        reached = {start}
        for item in node.items:
            reached = {end for at in reached for end in _ends(item, text, at)}
        return reached
    assert isinstance(node, Repetition)
    found, reached = set(), {start}
    for count in range(min(node.most or 0, 99) + 1 if node.most is not None else len(text) + 3):
        if count >= node.least:
            found |= reached
        reached = {end for at in reached for end in _ends(node.item, text, at)}
    return found


@pytest.mark.parametrize("source", SOURCES)
@given(text=st.text(alphabet="abcdxyzwABX@.-_]^0129 éÉäÜü\t{},", max_size=6))
def test_the_tree_matches_what_re2_matches(source: str, text: str) -> None:
    found = compile_source(source, "re2").fullmatch(text) is not None
    assert matches(parse(source), text) is found


@pytest.mark.parametrize(
    "source", ["(?=a)b", r"(a)\1", r"a\b", "(?i)a", "a++b", "a{,3}", r"\w", "(?>a)"]
)
def test_what_it_cannot_describe_it_says(source: str) -> None:
    re.compile(source)
    with pytest.raises(SyntaxUnknown):
        parse(source, engine="re")


@pytest.mark.parametrize("source", [r"\pL", r"\bx", "(?i:a)", "(?U)a", r"[[:alpha:]"])
def test_nor_does_it_guess_about_what_only_re2_knows(source: str) -> None:
    with pytest.raises(SyntaxUnknown):
        parse(source)


def test_every_source_is_one_of_re2() -> None:
    for source in SOURCES:
        re2.compile(source)


def test_ranges() -> None:
    assert merged([(5, 9), (1, 2), (3, 3), (8, 12)]) == ((1, 3), (5, 12))
    assert complement(((0, 4), (6, 0x10FFFE))) == ((5, 5), (0x10FFFF, 0x10FFFF))
    assert complement(()) == ((0, 0x10FFFF),)
    assert folded(((ord("Y"), ord("a")),)) == ((65, 65), (89, 97), (121, 122))
    assert Characters(folded(((0xE9, 0xE9),))).ranges == ((0xC9, 0xC9), (0xE9, 0xE9))
