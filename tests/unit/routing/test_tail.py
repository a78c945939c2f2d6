"""lamson.routing.tail: what an address ends with, and the domains in it."""

from __future__ import annotations

import pytest

from lamson.routing.pattern import compile_format
from lamson.routing.syntax import SyntaxUnknown
from lamson.routing.tail import MOST, listed, tails_of

CAPTURES = {"user": "[a-z]+", "host": r"(localhost|test\.com)"}


def domains(format: str, engine: str = "re2") -> list[set[str] | None]:
    """The domains of each tail."""
    tails = tails_of(compile_format(format, CAPTURES, engine=engine))
    return [None if words is None else set(words) for words in map(listed, tails)]


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("(user)@(host)", [{"localhost", "test.com"}]),
        (r"a@x\.test|b@y\.test", [{"x.test"}, {"y.test"}]),
        (r"a@b@X\.test", [{"x.test"}]),
        ("a@[a-j]{2}", [{first + second for first in "abcdefghij" for second in "abcdefghij"}]),
        ("a@[a-j]{4}", [None]),
        ("a@(?:x|y)*", [None]),
        ("a@(?:x@)?y", [None]),
        ("(user)(?:@x)?", [None]),
    ],
)
def test_domains_of_tails(format: str, expected: list[set[str] | None]) -> None:
    assert domains(format) == expected


def test_a_list_ends_somewhere() -> None:
    names = [f"a@{number}" for number in range(MOST + 1)]
    assert domains(f"a@(?:{'|'.join(name[2:] for name in names[:MOST])})") != [None]
    assert domains(f"a@(?:{'|'.join(name[2:] for name in names)})") == [None]


def test_what_cannot_be_described() -> None:
    with pytest.raises(SyntaxUnknown):
        domains("a(?=@)@x", engine="re")
