"""Formats: what stands for a capture, what is plain regex, and what is refused in which words."""

from __future__ import annotations

import re

import pytest

from lamson.routing.pattern import PatternError, compile_format

CAPTURES = {
    "list_name": "[a-z][a-z0-9]*",
    "host": r"(localhost|test\.com)",
    "tag": "x|y",
    "any": ".*",
}


def test_captures_of_a_format() -> None:
    pattern = compile_format("(list_name)-subscribe@(host)", CAPTURES)
    assert pattern.names == ("list_name", "host")
    assert pattern.match("users-subscribe@test.com") == {"list_name": "users", "host": "test.com"}


def test_case_is_ignored_and_kept() -> None:
    pattern = compile_format("(list_name)-Subscribe@(host)", CAPTURES)
    assert pattern.match("Users-SUBSCRIBE@test.com") == {"list_name": "Users", "host": "test.com"}


@pytest.mark.parametrize(
    "address", ["", "users@test.com", "users-subscribe@test.com.evil.example", "x\nusers@test.com"]
)
def test_the_whole_address_has_to_match(address: str) -> None:
    assert compile_format("(list_name)-subscribe@(host)", CAPTURES).match(address) is None


@pytest.mark.parametrize("engine", ["re2", "re"])
@pytest.mark.parametrize(
    ("format", "address", "expected"),
    [
        ("(tag)@x", "y@x", {"tag": "y"}),
        ("((tag)-)?a@x", "a@x", {"tag": ""}),
        ("((tag)-)?a@x", "x-a@x", {"tag": "x"}),
        ("(tag)?a@x", "a@x", {"tag": ""}),
        ("(tag){2}@x", "xy@x", {"tag": "y"}),
        (r"\(tag\)@x", "(tag)@x", {}),
        ("[(tag)]+@x", "t(a)g@x", {}),
        ("[]()]+(tag)@x", "]()y@x", {"tag": "y"}),
        (r"[\](tag)]+@x", "](@x", {}),
        ("(?:tag)@x", "tag@x", {}),
        ("(?P<own>[0-9]+)-(tag)@x", "12-y@x", {"own": "12", "tag": "y"}),
        ("(?<own>[0-9]+)@x", "12@x", {"own": "12"}),
        ("(a|b)(tag)@x", "bx@x", {"tag": "x"}),
        ("a@x|(tag)@z", "y@z", {"tag": "y"}),
        (r"\Qa.(tag)\E@x", "a.(tag)@x", {}),
        ("(any)@(host)", "z\u00e9d\u00fc@test.com", {"any": "z\u00e9d\u00fc", "host": "test.com"}),
        ("[[]a@x", "[a@x", {}),
        ("(list_name)@test.com", "users@testxcom", {"list_name": "users"}),
    ],
)
def test_what_a_format_means(
    engine: str, format: str, address: str, expected: dict[str, str]
) -> None:
    pattern = compile_format(format, CAPTURES, engine=engine)
    assert pattern.match(address) == expected
    assert set(pattern.names) == set(expected)


def test_groups_of_a_captures_own_pattern_are_not_counted() -> None:
    pattern = compile_format(r"(word)-(w|v)\2@x", {"word": "((a)|b)+(?P<inner>[0-9])"}, engine="re")
    assert pattern.match("ab1-ww@x") is None  # \2 is `inner`, the second group that has a name
    assert pattern.match("ab1-w1@x") == {"word": "ab1", "inner": "1"}


def test_a_surrogate_is_matched_by_nothing() -> None:
    assert compile_format("(any)", CAPTURES).match("\udc80@x") is None


@pytest.mark.parametrize(
    ("format", "engine", "message"),
    [
        ("(lst_name)@(host)", "re2", r"\(lst_name\).*did you mean \(list_name\)\?.*route_defaults"),
        ("(nothing)@x", "re2", r"\(nothing\), which is not known; give it"),
        ("(host)@(host)", "re2", r"has the capture \(host\) twice"),
        ("(?P<host>x)@(host)", "re2", r"has the capture \(host\) twice"),
        ("(inner)@(host)", "re2", r"has the capture \(host\) twice"),
        ("a(@x", "re2", "missing \\)"),
        ("a)@x", "re", "unbalanced"),
        ("[a@x", "re2", r"the \[ at character 1 has no end"),
        ("a@x\\", "re2", r"the \\ at character 4 has no end"),
        ("*@x", "re2", "no regular expression"),
        (r"(?=a)(tag)@x", "re2", 'engine="re"'),
        (r"(?P<a>x)(?P=a)@x", "re2", 'engine="re"'),
        ("a@x", "pcre", 'engine=\'pcre\' is not known, it is "re2" or "re"'),
        ("(open)@x", "re2", "has unbalanced parentheses"),
        ("(closed)@x", "re2", "has unbalanced parentheses"),
        ("(numbered)@x", "re", r"refers to a group by number"),
        ("(five)@x", "re2", "a pattern is a text"),
    ],
)
def test_what_is_refused(format: str, engine: str, message: str) -> None:
    captures = {
        "inner": "(?P<host>x)",
        "open": "(a",
        "closed": "a)|(b",
        "numbered": r"(a)\1",
        "five": 5,
        **CAPTURES,
    }
    with pytest.raises(PatternError, match=message) as refused:
        compile_format(format, captures, engine=engine)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_look_around_with_the_other_engine() -> None:
    pattern = compile_format(r"(?!root)(any)@x", CAPTURES, engine="re")
    assert pattern.match("zed@x") == {"any": "zed"}
    assert pattern.match("root@x") is None


@pytest.mark.parametrize(
    "format", ["(list_name)-(?:a|b)@(host)", r"\(x[(?:]@(tag)", "((tag))@x", r"a|\Q(b)\E"]
)
def test_the_source_is_a_plain_regular_expression_that_matches_the_same(format: str) -> None:
    pattern = compile_format(format, CAPTURES)
    for address in ("users-b@test.com", "(x:@y", "(x(@x", "y@x", "a", "(b)", "", "users"):
        found = re.fullmatch(pattern.source, address, re.IGNORECASE)
        assert (found is not None) == (pattern.match(address) is not None)


def test_pieces_are_what_the_format_was_put_together_from() -> None:
    pattern = compile_format("a-(tag)?@(host)", CAPTURES)
    assert [(piece.name, piece.text) for piece in pattern.pieces] == [
        ("", "a-"),
        ("tag", "x|y"),
        ("", "@"),
        ("host", r"(localhost|test\.com)"),
    ]
    assert "".join(piece.source for piece in pattern.pieces) == pattern.source
    assert compile_format("a|(tag)", CAPTURES).pieces == ()


@pytest.mark.parametrize("engine", ["re2", "re"])
@pytest.mark.parametrize(
    ("host", "address", "captures"),
    [
        (r"test\.com", "u\u017fers@te\u017ft.com", ("users", "test.com")),
        (r"tekst\.com", "\u212a@te\u212ast.com", ("K", "tekst.com")),
        (r"test\.com", "Users@TEST.com", ("Users", "TEST.com")),
        (r"bücher\.test", "\u00c9A@BÜCHER.test", ("éA", "bücher.test")),
        (r"bücher\.test", "a@xn--bcher-kva.test", ("a", "bücher.test")),
        ("bu\u0308cher\\.test", "a@bücher.test", ("a", "bücher.test")),
        (r"xn--bcher-kva\.test", "a@bu\u0308cher.test", ("a", "xn--bcher-kva.test")),
        (r"[a-z0-9.-]+", "a@BÜCHER.test", ("a", "xn--bcher-kva.test")),
        (r"test\.com", "a@evil\uff20test.com", None),
        (r"[a-z]+", "a@b\u0131t", None),
        (r"[a-z]+", "a@b\u0130t", None),
    ],
)
def test_the_spellings_of_an_address_are_one(
    engine: str, host: str, address: str, captures: tuple[str, str] | None
) -> None:
    pattern = compile_format("(user)@(host)", {"user": "[^@]+", "host": host}, engine=engine)
    found = pattern.match(address)
    assert (None if found is None else tuple(found.values())) == captures


@pytest.mark.parametrize("engine", ["re2", "re"])
def test_no_letter_beyond_ascii_is_one_of_ascii_unless_postfix_says_so(engine: str) -> None:
    pattern = compile_format("i(user)@x", {"user": "\u0131*"}, engine=engine)
    assert pattern.match("i\u0131@x") == {"user": "\u0131"}
    assert pattern.match("\u0131@x") is None
