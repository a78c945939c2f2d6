"""Many patterns at once: the same answers as one by one, and none lost for want of memory."""

from __future__ import annotations

import pytest

from lamson.routing import pattern_set
from lamson.routing.pattern import compile_format
from lamson.routing.pattern_set import PatternSet

FORMATS = ["a@x", "[a-z]@x", "a@y", ".+@x", "(?:a|b)@x"]


def test_all_that_match_in_order() -> None:
    patterns = PatternSet([compile_format(format, {}) for format in FORMATS])
    assert patterns.match("A@x") == [0, 1, 3, 4]
    assert patterns.match("a@y") == [2]
    assert patterns.match("a@z") == []


def test_both_engines_keep_the_order() -> None:
    engines = ["re2", "re", "re", "re2", "re"]
    patterns = PatternSet(
        [compile_format(format, {}, engine=e) for format, e in zip(FORMATS, engines, strict=True)]
    )
    assert patterns.match("a@x") == [0, 1, 3, 4]


def test_no_patterns() -> None:
    assert PatternSet([]).match("a@x") == []


@pytest.mark.parametrize("address", ["", "\udc80@x", "\0lamson\0", "a\0@x"])
def test_what_is_no_address_matches_nothing(address: str) -> None:
    assert PatternSet([compile_format(".+", {})]).match(address) == []


def test_utf8() -> None:
    patterns = PatternSet([compile_format("z\u00e9d@.+", {}), compile_format("z.d@.+", {})])
    assert patterns.match("Z\u00c9D@b\u00fccher.example") == [0, 1]


@pytest.mark.parametrize("memory", [1, 1 << 12, 1 << 16])
def test_without_memory_for_one_automaton_there_are_several(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern_set, "_MEMORY", memory)
    monkeypatch.setattr(pattern_set, "_MEMORY_PER_PATTERN", 0)
    patterns = PatternSet([compile_format(f".*-{n}-.*@[a-z]+", {}) for n in range(300)])
    for number in range(300):
        assert patterns.match(f"list-{number}-subscribe@host") == [number]
    assert patterns.match("list-300-subscribe@host") == []
    assert patterns.match("list-7-8-9-@host") == [7, 8, 9]


def test_ten_thousand_patterns() -> None:
    patterns = PatternSet(
        [
            compile_format(f"(name)-cmd{n}@(host)", {"name": "[a-z]+", "host": "a|b"})
            for n in range(10_000)
        ]
    )
    for number in range(0, 10_000, 7):
        assert patterns.match(f"users-cmd{number}@b") == [number]
    assert patterns.match("users-cmd10000@b") == []
    assert patterns.match("7users-cmd7@b") == []


@pytest.mark.parametrize("hyphen", ["-", "[-]"], ids=["plain text", "a regex"])
def test_a_crowd_with_one_lead_among_others(hyphen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pattern_set, "_FEW", 3)
    monkeypatch.setattr(pattern_set, "_CROWD", 2)
    formats = [
        f"(user){hyphen}a@x",
        "b-(user)@x",
        f"(user){hyphen}c@x",
        "(user)",
        "(any)@x",
        "(user)?d@x",
        "(any)@y",
    ]
    captures = {"user": "[a-z]+", "any": ".*"}
    patterns = PatternSet([compile_format(format, captures) for format in formats])
    assert patterns.match("zed-a@x") == [0, 4]
    assert patterns.match("b-c@x") == [1, 2, 4]
    assert patterns.match("7-a@x") == [4]
    assert patterns.match("zed") == [3]
    assert patterns.match("d@x") == [4, 5]
    assert patterns.match("\u00e9@y") == [6]
    assert patterns.match("zed-a@xx") == []
