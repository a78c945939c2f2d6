"""HTML as a tree: what begins, what ends, and what is text."""

from __future__ import annotations

import pytest

from lamson.message.markup import MAX_DEPTH, MAX_TAGS, Attributes, walk


class Told:
    """A visitor that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.open = self.deepest = 0

    def enter(self, name: str, attributes: Attributes) -> None:
        self.told.append(f"<{name}>")
        self.open += 1
        self.deepest = max(self.deepest, self.open)

    def leave(self, name: str) -> None:
        self.told.append(f"</{name}>")
        self.open -= 1

    def text(self, text: str) -> None:
        self.told.append(text)


def told(markup: str) -> str:
    visitor = Told()
    assert walk(markup, visitor)
    return "".join(visitor.told)


@pytest.mark.parametrize(
    ("markup", "tree"),
    [
        ("a<b>c</b>", "a<b>c</b>"),
        ("<p>a<p>b<div>c", "<p>a</p><p>b</p><div>c</div>"),
        ("<ul><li>a<ul><li>b</ul><li>c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        (
            "<table><tr><td>a<td>b<tr><th>c",
            "<table><tr><td>a</td><td>b</td></tr><tr><th>c</th></tr></table>",
        ),
        ("<tbody><tr><td>a<tbody>b", "<tbody><tr><td>a</td></tr></tbody><tbody>b</tbody>"),
        ("<td><div>a</td>b", "<td><div>a</div></td>b"),
        ("<div><table><td>a</div>b", "<div><table><td>ab</td></table></div>"),
        ("<b>a<div>b</b>c</div>", "<b>a<div>b</b>c</div>"),
        ("a</b>c</div>d", "acd"),
        ("a</p>b</br>c", "a<p></p>b<br>c"),
        ("<br><IMG src=x/>", "<br><img>"),
        ("<a href=x>a<a href=y>b", "<a>a</a><a>b</a>"),
        ("<option>a<option>b", "<option>a</option><option>b</option>"),
        ("<script>if (a<b) '</scripty>'</script >x", "<script></script>x"),
        ("<textarea><b></TEXTAREA>x", "<textarea><b></textarea>x"),
        ("a<!-- <p>b -->c<!---->d<!-->e<!doctype x>f<?php g>h</ i>j<![if x]>k", "acdefhjk"),
        ("a<!-- b", "a"),
        ("1 < 2 <3 <", "1 < 2 <3 <"),
        ("<p title='<b>' x=\">\" y=a>b", "<p>b</p>"),
        ("&lt;p&gt; &AMP; &#x41;&#66; &nosuch; &", "<p> & AB &nosuch; &"),
    ],
)
def test_walk(markup: str, tree: str) -> None:
    assert told(markup) == tree


def test_attributes() -> None:
    attributes = Attributes(" a=1 B='2 &amp; 3' c=\"4\"d e = 5 a=6 f=&quot;/")
    values = [attributes.get(name) for name in ("a", "b", "c", "d", "e", "f", "g")]
    assert values == ["1", "2 & 3", "4", "", "5", '"/', None]
    assert attributes
    assert not Attributes(" ")


def test_only_so_many_elements_are_open() -> None:
    visitor = Told()
    walk("<div>" * 1000 + "x" + "</div>" * 1000 + "y", visitor)
    assert visitor.deepest == MAX_DEPTH + 1
    assert visitor.told[-1] == "y"
    assert visitor.open == 0


def test_only_so_many_tags_are_read() -> None:
    visitor = Told()
    assert not walk("<b>" * (MAX_TAGS + 1), visitor)
    assert visitor.open == 0
