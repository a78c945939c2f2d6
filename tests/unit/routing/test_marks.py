"""lamson.routing.marks: what is found by a mark is what the patterns match one by one."""

from __future__ import annotations

from itertools import product

import pytest

from lamson.routing import pattern_set
from lamson.routing.marks import Form, Marks, lower_case, marked
from lamson.routing.pattern import compile_format
from lamson.routing.pattern_set import PatternSet
from lamson.smtp.folding import spellings

CAPTURES = {
    "list": "[a-z]+",
    "any": ".*",
    "host": r"(x|y\.test)",
    "word": r"\b[a-z]+",
    "k": "[^@]+",
}
FORMATS = [
    "(list)-a@x", "(list)-bk@x", "(list)-a-@x", "(list)-A@X", "(list)-a@x",
    "a-(any)@(host)", "b-(any)@(host)", "a-a-(any)@(host)", "K-(any)@(host)",
    "(k)-s-a?(any)@x", "(k)-s-b?(any)@x", "(k)-ss(any)@x",
    r"(list)\.a+@x", r"(list)\.b+@x", r"(list)\.c{2}@x",
    "(any)-x(?:p|q)@(host)", "(any)-y(?:p|q)@(host)", "(any)-xy(?:p|q)@(host)",
    "(word)-v@x", "(word)-w@x", "(list)-c$", "(list)-d$", "e(?i)(any)@x", "f(?i)(any)@x",
    "\u00e9-(any)@x", "(any)\u00e9@x", "p@x", "q@x", "pq@x", "(list)?r@x", "(list)?s@x",
    "(list)(any)z@x",
]  # fmt: skip
LOCALS = [
    "zed-a", "ZED-A", "zed-a-a", "zed-bk", "zed-b\u212a", "zed-a-", "a-", "a-a-x", "b-\u00e9",
    "K-", "k-a", "\u212a-a", "k-s-", "k-s-aa", "k-s-s-b", "k-\u017fs-b", "k-\u00df", "-s-b",
    "z.a", "z.aa", "z.cc", "z.ccc", "-xp", "a-x-yq", "-xyp-xyp", "-XYQ", "zed-v", "-v", "zed-c",
    "zed-d", "E", "fx", "\u00e9-", "\u00c9-\u00c9", "p", "PQ", "r", "as", "az", "I\u0307-a",
    "zed-a\udc80", "",
]  # fmt: skip


def test_the_same_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pattern_set, "_FEW", 3)
    monkeypatch.setattr(pattern_set, "_CROWD", 2)
    monkeypatch.setattr(pattern_set, "_MAX_FORMS", 50)
    patterns = [compile_format(format, CAPTURES) for format in FORMATS]
    together = PatternSet(patterns)
    assert len(together._marks) == 4
    for local, host in product(LOCALS, ["@x", "@X", "@y.test", "@y.tes\u017f", ""]):
        address = local + host
        expected = [n for n, one in enumerate(patterns) if one.match(address) is not None]
        assert together.match(address) == expected, address


@pytest.mark.parametrize(
    ("format", "form", "mark"),
    [
        ("list7-(list)@x", ("", "(?P<list>[a-z]+)@x"), "list7-"),
        ("(list)-Cmd7-(any)", ("(?P<list>[a-z]+)", "(?P<any>.*)"), "-cmd7-"),
        (r"a\.b+@x", ("", "b+@x"), "a."),
        (r"a\.?b@x", ("", r"\.?b@x"), "a"),
        (r"(list)\Q.+\E(any)", ("(?P<list>[a-z]+)", "(?P<any>.*)"), ".+"),
        ("p@x", ("", ""), "p@x"),
    ],
)
def test_what_a_pattern_is_taken_apart_into(format: str, form: tuple[str, str], mark: str) -> None:
    found = marked(compile_format(format, CAPTURES))
    assert found == (form, mark)


@pytest.mark.parametrize(
    "format", ["(list)", "(list)(any)@x", "a@x|b@x", "[a]@x", "a?@x", "(list).@x"]
)
def test_a_pattern_without_a_mark(format: str) -> None:
    assert marked(compile_format(format, CAPTURES)) is None


@pytest.mark.parametrize(
    ("form", "marks"),
    [
        (Form("[a-z]+", "@x"), ["a", "b"]),
        (Form(r"[a-z]+\b", "@x"), ["-a", "-b"]),
        (Form("", r"^@x"), ["a", "b"]),
        (Form("", "@x"), ["a" * length for length in range(1, 40)]),
    ],
    ids=["no common begin", "a word's edge", "an edge", "many lengths"],
)
def test_what_cannot_be_found_so(form: Form, marks: list[str]) -> None:
    assert not Marks.suits(form, {mark: [number] for number, mark in enumerate(marks)})


def test_no_spelling_holds_another_case_of_an_ascii_letter() -> None:
    for strange in "\u212a\u017f":
        address = f"{strange}a@{strange}b.test"
        assert all(strange not in form for form in spellings(address)), address


def test_lower_case_keeps_every_character_in_its_place() -> None:
    assert lower_case("I\u0130A@X") == "i\u0130a@x"
