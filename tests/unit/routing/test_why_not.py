"""Why a format does not match, in the words that `lamson routes --test` prints."""

from __future__ import annotations

import pytest

from lamson.routing.pattern import compile_format
from lamson.routing.why_not import why_not

CAPTURES = {"list_name": "[a-z]+", "host": r"(localhost|test\.com)", "tag": "x|y"}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("users-join@test.com", ""),
        ("users-join@example.org", r"host: 'example.org' does not match (localhost|test\.com)"),
        ("users-join@test.community", r"host: 'test.community' does not match"),
        ("users-leave@test.com", "'-leave@test.com' does not match -join@"),
        ("7-join@test.com", "list_name: '7-join@test.com' does not match [a-z]+"),
        ("users", "the end does not match -join@"),
        ("", "list_name: the end does not match [a-z]+"),
        ("users-join@\u00fc", r"host: '\xfc' does not match"),
        ("users-join@\udc80", "does not match"),
    ],
)
@pytest.mark.parametrize("engine", ["re2", "re"])
def test_the_first_piece_that_does_not_fit(engine: str, address: str, reason: str) -> None:
    found = why_not(compile_format("(list_name)-join@(host)", CAPTURES, engine=engine), address)
    assert found.startswith(reason) or reason in found
    assert bool(found) == bool(reason)


@pytest.mark.parametrize("format", ["a@x|(tag)@x", "(?:(tag)-)*b@x", "a@x$"])
def test_other_formats_get_an_answer_too(format: str) -> None:
    assert "does not match" in why_not(compile_format(format, CAPTURES), "nothing")
