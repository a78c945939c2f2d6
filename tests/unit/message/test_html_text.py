"""HTML as readable text."""

from __future__ import annotations

import pytest

from lamson.message.html_text import MAX_HTML, render, text_of
from lamson.message.markup import MAX_TAGS


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
        ("<ul><li>a<li>b</ul>", "* a\n* b\n"),
        ("<style>never closed", "\n"),
        ("<!-- never closed", "\n"),
        ("<p never closed", "<p never closed\n"),
        (f"<p>&#{'9' * 4301};", "\ufffd\n"),
        (f"&#{'9' * 5000}<b>{'9' * 5000};", f"\ufffd{'9' * 5000};\n"),
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


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "markup",
    [
        "<p>. {}x".format("\u200d" * 200_000),
        "<p>a{}x".format("\u200d" * 200_000),
        "<p style='font:{}x'>".format(" " * 200_000),
        "<p style='font:{}x'>".format("a " * 100_000),
        "<style>{}</style>".format("a" * 65_536) * 15,
        "<style>{}</style>".format("a{b" * 21_000) * 15,
        # A letter that is two in lower case: more was read than the limit says.
        "<style>{}</style><style>{}</style>".format("\u0130" * 65_536, "a" * 900_000),
    ],
    ids=["joiners", "word", "font", "font words", "selector", "rule", "lower case"],
)
def test_hostile_runs_take_linear_time(markup: str) -> None:
    text_of(markup)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>a \u200c\u200d b", "a b\n"),
        ("<p>a\u200c\u200d b", "a\u200c b\n"),
        ("<p>a\u200db", "a\u200db\n"),
        ("<p style='font: bold 0/0 a'>no</p>x", "x\n"),
        ("<p style='font-size:0'>no</p>x", "x\n"),
        ("<p style='font-size: 10px'>yes", "yes\n"),
        ("<style>p {} .no{display:none}</style><p class=no>no</p>x", "x\n"),
    ],
)
def test_what_runs_and_styles_mean(markup: str, text: str) -> None:
    assert text_of(markup) == text


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    [
        "<div>",
        "<span><div>",
        "<table><td>",
        "<ul><li>x",
        "<blockquote>x",
        "<a href=y>x<b>",
        "<p a='",
        '<a "',
        "<p x=1 y='2' z",
        "</p>",
        "<div></span>",
        "<pre>\n",
        "<style>a{",
        "<style>/*",
        "&nbsp;",
        "\u200c",
    ],
)
def test_no_tree_is_too_deep_and_no_tag_too_long(piece: str) -> None:
    text_of(piece * (MAX_HTML // len(piece)))
    text_of(f"<p {'a=1 ' * (MAX_HTML // 4)}>x")


def test_what_is_too_long_is_cut() -> None:
    assert len(text_of("x" * (MAX_HTML + 10))) == MAX_HTML + 1
    assert render("x" * MAX_HTML)[1]
    assert not render("x" * (MAX_HTML + 10))[1]
    assert not render("<b>" * (MAX_TAGS + 1))[1]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (
            '<a href="https://e.test/c?x=1&amp;y=2">confirm</a> it',
            "confirm <https://e.test/c?x=1&y=2> it",
        ),
        ('<a href="https://e.test/">e.test</a>', "e.test"),
        ('<a href="mailto:a@b.test">a@b.test</a>', "a@b.test"),
        ('<a href="https://e.test"><img alt="Logo" src=x></a>', "Logo <https://e.test>"),
        ('<a href="https://e.test"><img src=x></a>', "<https://e.test>"),
        ('<a href="#top">up</a> <a href="javascript:x()">x</a> <a name=y>z</a>', "up x z"),
        ('<a href="https://e.te\nst/">one<br>two</a>', "one\ntwo <https://e.test/>"),
        ('<a title="x > y" href=https://e.test/>link</a>', "link <https://e.test/>"),
    ],
)
def test_links_keep_their_addresses(markup: str, text: str) -> None:
    assert text_of(markup) == f"{text}\n"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<table><tr><td>Name</td><td>Joe</td></tr></table>", "Name\tJoe"),
        ("<table><tr><td>Name<td>Joe<tr><td>Age<td>7</table>x", "Name\tJoe\nAge\t7\nx"),
        ("<table><tr><td><p>A</p></td> <td><div>B</div></td></tr></table>", "A\tB"),
        ("<tr><td>1<br>2</td><td>3</td></tr>", "1\n2\n3"),
        ("<table><tr><td><table><tr><td>a</td></tr></table></td></tr></table>b", "a\nb"),
        ("<tr><td></td><td>one</td></tr>", "one"),
        ("<ol start=3><li>a<ul><li>x<li>y</ul><li>b</ol>z", "3. a\n   * x\n   * y\n4. b\n\nz"),
        ("<dl><dt>t<dd>d<dt>u</dl>", "t\n  d\nu"),
        ("<blockquote>a<p>b</p></blockquote>c", "> a\n>\n> b\n\nc"),
        ("<blockquote type=cite><blockquote>a</blockquote>b</blockquote>", "> > a\n>\n> b"),
        ("<pre>\na\n  b\n\n\nc</pre>", "a\n  b\n\n\nc"),
        ("<blockquote><pre>a\r\n b</pre></blockquote>", "> a\n>  b"),
        ('<div style="white-space: pre-wrap">a\n  b</div>', "a\n  b"),
        ("<div>a</div><div><br></div><div>b<br></div><div>c</div>", "a\n\nb\nc"),
        ("x&#13;y&#10;z", "x y z"),
        ("a<hr>b", "a\n\n-----\n\nb"),
        ("<textarea>x <b>y</b></textarea><xmp><i></xmp>", "x <b>y</b>\n<i>"),
        (
            "<p>&nbsp;&zwnj;&#847;</p><p>a\u200bb \u06a9\u200c\u0647\u0627</p>",
            "ab \u06a9\u200c\u0647\u0627",
        ),
        ("<li>x", "* x"),
    ],
)
def test_the_text_is_laid_out_as_the_page_is(markup: str, text: str) -> None:
    assert text_of(markup) == f"{text}\n"


@pytest.mark.parametrize(
    "markup",
    [
        '<div style="display:none">no</div>shown',
        '<div style="DISPLAY : None !important"><p>no<blockquote>no</div>shown',
        '<span style="visibility:hidden">no</span>shown',
        '<span style="font-size:0px">no</span>shown',
        '<div style="color:red;max-height:0;overflow:hidden">no</div>shown',
        '<td style="font-size:0">no<div style="font-size:13px">shown</div></td>',
        '<div style="height:0;width:0;overflow:hidden">no</div>shown',
        '<div style="display/**/:none">no</div>shown',
        '<div style="position:absolute;left:-9999px">no</div>shown',
        '<div style="text-indent:-20px;height:0;line-height:0;overflow:visible">shown</div>',
        "<style>@media print {.s {x:y} .t {x:y}} .n {display:none}</style><p class=n>no</p>shown",
        "<style>@media print {.s {display:none} .t {x:y}</style><p class=s>shown",
        "<p hidden>no</p>shown",
        "<style>.pre, #x { display: none } b {color: red}</style><i class='a pre'>no</i>shown",
        "<style>/* .s {display:none} */ @media print {.s {display:none}}</style><p class=s>shown",
        "<!--[if mso]><p>no</p><![endif]--><!--[if !mso]><!-->shown<!--<![endif]-->",
        "<template>no</template><svg><text>no</text></svg><script>no()</script>shown",
        "<noscript>shown</noscript>",
        "<head><title>no</title><p>shown",
        "<span hidden><blockquote>no</span></blockquote></blockquote>shown",
        '<p title="<b>no</b>">shown</p >',
    ],
)
def test_what_a_page_hides_is_left_out(markup: str) -> None:
    assert text_of(markup) == "shown\n"
