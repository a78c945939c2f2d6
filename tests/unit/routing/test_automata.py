"""lamson.routing.automata: sets of RE2 that work, however little memory they get."""

import pytest

from lamson.routing.automata import automata


def found(patterns: list[str], text: bytes, memory: int, *, is_search: bool = False) -> list[int]:
    made = automata(list(enumerate(patterns)), memory, is_search=is_search)
    return sorted(one.numbers[place] for one in made for place in one.set.Match(text) or ())


@pytest.mark.parametrize("memory", [1, 1 << 12, 8 << 20])
def test_whole_texts_and_parts_of_them(memory: int) -> None:
    patterns = ["a+", "(?i)AB", "b"]
    assert found(patterns, b"ab", memory) == [1]
    assert found(patterns, b"ab", memory, is_search=True) == [0, 1, 2]
    assert found(patterns, b"", memory) == []
    assert found([], b"ab", memory) == []


def test_one_pattern_stays_one_automaton() -> None:
    """As what stands behind a mark needs it."""
    (one,) = automata([(7, "[a-z0-9]+@(?:localhost|test\\.com)")], 1, is_search=False)
    assert one.numbers == (7,)
    assert one.set.Match(b"x1@test.com")
    assert not one.set.Match(b"x1@test.com.example")
