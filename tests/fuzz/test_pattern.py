"""Formats and addresses against the plain way: every route one after another with re.fullmatch."""

from __future__ import annotations

import re
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from lamson.routing import pattern_set
from lamson.routing.pattern import Pattern, PatternError, compile_format
from lamson.routing.pattern_set import PatternSet
from lamson.routing.why_not import why_not

CAPTURES = {
    "name": "[a-z][a-z0-9]*",
    "any": ".+",
    "host": r"(localhost|test\.com)",
    "tag": "(x|y)?",
}

_text = st.sampled_from(
    ["a", "b", "x1", "-", r"\.", r"\(name\)", "[(name)]", "@", "[^@]", "\u00e9"]
)
_capture = st.sampled_from([f"({name})" for name in CAPTURES])
_group = st.lists(_text | _capture, min_size=1, max_size=3).map("".join)
_piece = _text | _capture | _group.map("(?:{})?".format) | _group.map("(z|{})".format)
formats = st.lists(_piece, min_size=1, max_size=6).map("".join)
addresses = st.one_of(
    st.lists(
        st.sampled_from(["a", "B", "x", "x1", "y", "z", "-", ".", "(", "@", "\u00e9"])
        | st.sampled_from(["users", "localhost", "Test.com"]),
        max_size=8,
    ).map("".join),
    # Python folds a few letters that RE2 does not (a dotless i, a long s), but no mail is misrouted
    # over them: what is compared here has none.
    st.text("abxyzAB019.@-()\u00e9\u00fc\U0001f4e7\0\n"),
)


def _plain(format: str) -> re.Pattern[str]:
    """The format as one would put it together by hand."""
    for name, own in CAPTURES.items():
        group = f"(?:{own})".replace("\\", r"\\")
        format = re.sub(rf"(?<![\\\[])\({name}\)(?!\])", group, format)
    return re.compile(format, re.IGNORECASE)


def _compiled(format: str, engine: str) -> Pattern | None:
    try:
        return compile_format(format, CAPTURES, engine=engine)
    except PatternError:
        return None  # a capture twice


@given(st.lists(st.tuples(formats, st.sampled_from(["re2", "re2", "re"])), max_size=8), addresses)
def test_the_set_agrees_with_a_loop(chosen: list[tuple[str, str]], address: str) -> None:
    patterns = [p for p in (_compiled(format, engine) for format, engine in chosen) if p]
    found = PatternSet(patterns).match(address)
    with patch.multiple(pattern_set, _FEW=1, _CROWD=2, _MAX_CROWDS=2):
        assert PatternSet(patterns).match(address) == found
    if "\0" not in address:
        assert found == [
            number for number, p in enumerate(patterns) if _plain(p.format).fullmatch(address)
        ]
    for number, pattern in enumerate(patterns):
        captures = pattern.match(address)
        if number in found:
            assert captures is not None
            assert set(captures) == set(pattern.names)
            assert why_not(pattern, address) == ""
        elif "\0" not in address:
            assert captures is None
            assert why_not(pattern, address)


@given(formats, addresses)
def test_both_engines_capture_the_same(format: str, address: str) -> None:
    fast, slow = _compiled(format, "re2"), _compiled(format, "re")
    if fast and slow:
        assert fast.match(address) == slow.match(address)


@given(st.text(r"ab()[]{}?*+|\.^$-:<>=!PQE#&1name@host"), st.sampled_from(["re2", "re"]))
def test_any_text_is_a_format_or_a_pattern_error(format: str, engine: str) -> None:
    pattern = _compiled(format, engine)
    if pattern is not None:
        pattern.match("a@b")
        why_not(pattern, "a@b")
