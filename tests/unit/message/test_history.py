"""lamson.message.history: what an answer quotes."""

from __future__ import annotations

from datetime import UTC, datetime

from lamson.message.fragments import split
from lamson.message.history import MAX_HISTORY, Said, quoted, quoted_html

AT = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)


def said(text: str, name: str = "Zed") -> Said:
    return Said("zed@example.com", name, AT, text)


def test_the_newest_comes_first() -> None:
    shown = quoted([said("It burns.\n\nStill."), said("Which one?", "")])
    assert shown == (
        "On 28 November 2026, zed@example.com wrote:\n> Which one?\n\n"
        "On 28 November 2026, Zed wrote:\n> It burns.\n>\n> Still.\n"
    )
    assert quoted([]) == quoted_html([]) == ""


def test_it_is_known_for_a_quote_when_it_comes_back() -> None:
    shown = "New.\n\n" + quoted([said("It burns."), said("Which one?")])
    assert "".join(text for kind, text in split(shown) if kind == "new").strip() == "New."


def test_in_other_words() -> None:
    line = "Am {date:%d.%m.%Y} schrieb {name}:"
    assert quoted([said("Ja.")], line) == "Am 28.11.2026 schrieb Zed:\n> Ja.\n"


def test_a_name_is_one_line_and_no_markup() -> None:
    shown = quoted_html([said("<b>\nx & y", "Zed\r\n<script>")])
    assert shown == (
        "<p>On 28 November 2026, Zed &lt;script&gt; wrote:</p>\n"
        '<blockquote type="cite">&lt;b&gt;<br>\nx &amp; y</blockquote>\n'
    )
    assert shown.__html__() == shown  # type: ignore[attr-defined]
    assert quoted([said("x", "Zed\n> fake {date} {name.__class__}")]).count("\n") == 2


def test_there_is_a_limit() -> None:
    shown = quoted([said("old"), *[said("x" * 9000)] * 5, said("last")])
    assert len(shown) < MAX_HISTORY + 500
    assert "> last" in shown
    assert "[...]" in shown
    assert "> old" not in shown
