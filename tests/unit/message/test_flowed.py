"""Paragraphs that were broken into lines, put together again (RFC 3676)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamson.message.flowed import unflow


@pytest.mark.parametrize(
    ("text", "unflowed"),
    [
        ("", ""),
        ("one\ntwo\n", "one\ntwo\n"),
        ("one \ntwo \nthree\n", "one two three\n"),
        ("one \ntwo", "one two"),
        ("one \n", "one \n"),
        ("one \n\ntwo\n", "one \ntwo\n"),
        (" From x\n > y\n", "From x\n> y\n"),
        ("> a \n> b\nc\n", "> a b\nc\n"),
        ("> a \n>> b \n>> c\n", "> a \n>> b c\n"),
        (">a\n>\n> b\n", "> a\n>\n> b\n"),
        ("text \n-- \nZed \nShaw\n", "text \n-- \nZed Shaw\n"),
        ("> a \n> -- \n> b\n", "> a \n> -- \n> b\n"),
    ],
)
def test_unflow(text: str, unflowed: str) -> None:
    assert unflow(text) == unflowed


def test_delsp() -> None:
    assert unflow("one tw \no three\n", deletes_space=True) == "one two three\n"
    assert unflow("日本 \n語\n", deletes_space=True) == "日本語\n"


@given(st.text("> -ab\n"), st.booleans())
def test_nothing_but_blanks_is_lost(text: str, deletes_space: bool) -> None:
    def letters(text: str) -> str:
        return text.replace(" ", "").replace("\n", "").replace(">", "")

    assert letters(unflow(text, deletes_space=deletes_space)) == letters(text)
