"""HTML as readable text."""

from __future__ import annotations

import pytest

from lamson.message.html_text import MAX_HTML, text_of


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("", "\n"),
        ("<p>one</p><p>two</p>", "one\n\ntwo\n"),
        ("one<br>two<BR/>three", "one\ntwo\nthree\n"),
        ("a <b>bold</b>\n   word", "a bold word\n"),
        ("<style>p {}</style><script>x('<p>')</script>text", "text\n"),
        ("<title>t</title><!-- <p>no</p> -->text", "text\n"),
        ("&lt;b&gt; &amp; &eacute;&nbsp;x", "<b> & é x\n"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2\n"),
        ("<ul><li>a<li>b</ul>", "a\nb\n"),
        ("<style>never closed", "\n"),
        ("<!-- never closed", "\n"),
        ("<p never closed", "<p never closed\n"),
        (f"<p>&#{'9' * 4301};", "\ufffd\n"),
        (f"&#{'9' * 5000}<b>{'9' * 5000};", "\ufffd\n"),
        (f"&#{'0' * 5000}65;&#00000065;&#0;&#x{'f' * 5000};", "AA\ufffd\ufffd\n"),
    ],
)
def test_text_of(markup: str, text: str) -> None:
    assert text_of(markup) == text


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["<", "<!--", "<style", "<style>", "</style ", "<p", "<a>", "&#32;", "&", " ", "\n"]
)
def test_hostile_html_takes_linear_time(piece: str) -> None:
    text_of(piece * (MAX_HTML // len(piece)))


def test_what_is_too_long_is_cut() -> None:
    assert len(text_of("x" * (MAX_HTML + 10))) == MAX_HTML + 1
