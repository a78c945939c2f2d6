"""lamson.routing.sample: an address that a pattern takes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamson.routing import sample
from lamson.routing.pattern import compile_format

OURS = frozenset({"a.test", "b.test"})


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (r"users@a\.test", ["users@a.test"]),
        (r"(name)-confirm-(token)@(host)", [
            "lamson-check-confirm-lamsoncheck@a.test", "lamson-check-confirm-lamsoncheck@b.test",
        ]),
        (r".+@(?:a|b|other)\.test", ["lamson-check@a.test", "lamson-check@b.test"]),
        (r"[0-9]{4}@a\.test", ["0000@a.test"]),
        (r"(?:x|y)z?@b\.test", ["x@b.test"]),
        (r"(?=x)x@a\.test", []),
        (r"[^@]{65,}@a\.test", []),
        (r"x@elsewhere\.test", []),
        (r"x@[a-z]+\.test", ["x@a.test", "x@b.test"]),
        (r"users(?:-[a-z]+)?@a\.test", ["users@a.test"]),
        (r".*@a\.test", ["lamson-check@a.test"]),
        (r'"@a\.test', []),
    ],
)  # fmt: skip
def test_it_is_plain_and_is_taken(format: str, expected: list[str]) -> None:
    captures = {"name": ".+", "token": "[a-z0-9]+", "host": r"(?:a|b)\.test"}
    engine = "re" if "?=" in format else "re2"
    found = list(sample.addresses(compile_format(format, captures, engine=engine), OURS))
    assert len(found) <= len(expected)
    assert set(found) <= set(expected)
    assert bool(found) == bool(expected)


@given(st.sampled_from([r"\w+", "[[:alpha:]]{2,3}", "(?:a|b)*", r"\+?x", "[^a-z@]", "é+", ".{0}y"]))
@settings(max_examples=30)
def test_what_is_made_up_is_taken(local: str) -> None:
    pattern = compile_format(f"{local}@(?:a|b)[.]test", {})
    for address in sample.addresses(pattern, OURS):
        assert pattern.match(address) is not None
