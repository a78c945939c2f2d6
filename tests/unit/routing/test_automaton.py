"""lamson.routing.automaton: domains that are recognised, held against what the pattern matches."""

from __future__ import annotations

import pytest

from lamson.routing.automaton import Automaton
from lamson.routing.pattern import compile_format
from lamson.routing.tail import tails_of

DOMAINS = ["x.test", "a.x.test", "a.b.x.test", "test", "xx.test", "aa.test", "aaaa.test", "", "@"]


@pytest.mark.parametrize(
    "host",
    [
        r"(?:[a-z]\.)*x\.test",
        r"(?:[a-z]\.)?x\.test",
        r"(?:[a-z]\.){1,2}x\.test",
        r"[a-z]{2,3}\.test",
        r"x+\.test|a{4}\.test",
        "[^@]+",
    ],
)
def test_a_domain_is_recognised_where_the_pattern_matches_an_address_in_it(host: str) -> None:
    pattern = compile_format("(user)@(host)", {"user": "[a-z]+", "host": host})
    (tail,) = tails_of(pattern)
    automaton = Automaton(tail)
    for domain in DOMAINS:
        expected = pattern.match(f"zed@{domain}") is not None
        assert automaton.matches(domain) == expected, domain


def test_without_an_at_an_end_that_follows_one_counts() -> None:
    (tail,) = tails_of(compile_format(r"(?:[a-z]+@x|zed@y\.[a-z]+)", {}))
    automaton = Automaton(tail)
    assert automaton.matches("x")
    assert automaton.matches("y.org")
    assert not automaton.matches("z.org")
