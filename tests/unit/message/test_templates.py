"""Templates: rendered, escaped where it must be, and plain words where they are wrong."""

from __future__ import annotations

import builtins
import inspect
import keyword
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypedDict

import pytest
from mako import codegen, runtime
from mako.template import Template

from lamson.errors import TemplateError
from lamson.message.templates import RESERVED, Templates

if TYPE_CHECKING:
    from pathlib import Path


class Addressed(TypedDict):
    to: str
    sender: str
    subject: str


ADDRESSES: Addressed = {
    "to": "zed@example.com",
    "sender": "list@test.com",
    "subject": "Hello",
}


def write(directory: Path, **templates: str) -> Templates:
    """Templates given as ``mail__name_txt="..."``."""
    for name, text in templates.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        file = directory / f"{stem}.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return Templates([directory])


def test_text_is_left_alone_and_html_escaped(tmp_path: Path) -> None:
    templates = write(tmp_path, a_txt="${name} ü\n", a_html="<p>${name}${n}")
    assert templates.render("a.txt", name="<Zed>") == "<Zed> ü\n"
    assert templates.render("a.html", name="<Zed>", n=1) == "<p>&lt;Zed&gt;1"
    assert templates.render("/a.txt", name="Zed") == "Zed ü\n"


def test_what_html_includes_or_inherits_is_escaped_and_html_in_a_text_too(tmp_path: Path) -> None:
    templates = write(
        tmp_path,
        base_html="<b>${next.body()}</b>",
        mail__page_html='<%inherit file="/base.html"/>${name}<%include file="note.txt"/>',
        mail__note_txt="${name}",
        mail__text_txt='${name} <%include file="/mail/part.html"/>',
        mail__part_html="${name}",
    )
    assert templates.render("mail/page.html", name="<") == "<b>&lt;&lt;</b>"
    assert templates.render("mail/text.txt", name="<") == "< &lt;"


@pytest.mark.parametrize(
    "template",
    ["a.mako", "a.HTML", "a.htm", "include.html", "inherit.html", "namespace.html", "nested.html"],
)
def test_what_becomes_html_is_escaped_whatever_it_is_called(tmp_path: Path, template: str) -> None:
    templates = write(
        tmp_path, t_txt="${name}", a_mako="${name}", a_HTML="${name}", a_htm="${name}"
    )
    for name, text in {
        "include.html": "<%include file='a.mako'/>",
        "inherit.html": "<%inherit file='a.mako'/>",
        "namespace.html": "<%namespace name='lib' file='lib.mako'/>${lib.shown()}",
        "lib.mako": "<%def name='shown()'>${name}</%def>",
        "nested.html": "<%include file='include.txt'/>",
        "include.txt": "<%include file='a.mako'/>",
    }.items():
        (tmp_path / name).write_text(text)
    response = templates.respond("t.txt", {"name": "<script>"}, html=template, **ADDRESSES)
    assert response.body == "<script>"
    assert response.html is not None
    assert "<script>" not in response.html
    assert "&lt;script&gt;" in response.html


def test_one_template_serves_text_and_html(tmp_path: Path) -> None:
    templates = write(tmp_path, a_mako="${name}")
    for _ in range(2):
        assert templates.render("a.mako", name="<") == "<"
        assert templates.render_html("a.mako", name="<") == "&lt;"


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "a\0b"])
def test_a_name_that_no_file_can_have_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(TemplateError, match="there is no template"):
        write(tmp_path).render(name)


def test_styles_that_cannot_be_inlined_are_the_templates_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import css_inline

    def refuse(*args: object, **options: object) -> str:
        raise css_inline.InlineError("odd")

    monkeypatch.setattr(css_inline, "inline", refuse)
    with pytest.raises(TemplateError, match=r"a\.html: its styles cannot be inlined: odd"):
        write(tmp_path, a_html="<style>").respond("a.html", {}, **ADDRESSES)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_name_with_a_meaning_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    """Mako would say so late and darkly, or show something else in its place."""
    templates = write(tmp_path, a_txt="no name in it")
    with pytest.raises(TemplateError, match=rf"^a\.txt: {name} cannot be given to a template"):
        templates.render("a.txt", **{name: "value"})


def test_every_other_name_can_be_given(tmp_path: Path) -> None:
    templates = write(
        tmp_path, a_txt="${name}\n% for x in [1]:\n${loop.index}\n% endfor", a_html="${a}"
    )
    assert codegen.RESERVED_NAMES <= RESERVED
    generated = Template(filename=str(tmp_path / "a.txt")).code
    names = set(re.findall(r"\b[a-z][a-z_]*\b", generated + inspect.getsource(runtime)))
    for name in sorted(names - RESERVED - set(keyword.kwlist)):
        for template in (f"{name}.txt", f"{name}.html"):
            (tmp_path / template).write_text(f"${{{name}}}")
            assert templates.render(template, **{name: "value"}) == "value", name


def test_the_first_directory_wins(tmp_path: Path) -> None:
    write(tmp_path / "one", a_txt="one")
    write(tmp_path / "two", a_txt="two", b_txt="two")
    templates = Templates([tmp_path / "one", str(tmp_path / "two")])
    assert (templates.render("a.txt"), templates.render("b.txt")) == ("one", "two")


def test_a_missing_template_names_the_directories(tmp_path: Path) -> None:
    templates = Templates([tmp_path / "one", tmp_path / "two"])
    for name in ("no.txt", "../../etc/passwd"):
        with pytest.raises(TemplateError) as caught:
            templates.render(name)
        assert str(caught.value) == (
            f"there is no template {name}; searched: {tmp_path}/one, {tmp_path}/two"
        )
    with pytest.raises(TemplateError, match="searched: no directory"):
        Templates([]).render("a.txt")


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("a\n${nobody.x}\n", ":2: ", "'nobody' is not defined; given were: name"),
        ("a\n% if name\nb\n", ":2: ", "Fragment 'if name' is not a partial control statement"),
        ("a\n\n${name(}\n", ":3: ", r"Expected: \|,}"),
        ("a\n<%include file='no.txt'/>", ":2: ", "there is no template mail/no.txt; searched: "),
        ("<%inherit file='no.txt'/>", ":", "there is no template mail/no.txt; searched: "),
        ("<% a = %>", ":1: ", "(SyntaxError) invalid syntax"),
        ("<%def name='f()'>", ":1: ", "Unclosed tag: <%def>"),
    ],
)
def test_a_wrong_template_names_file_and_line(
    tmp_path: Path, text: str, where: str, problem: str
) -> None:
    templates = write(tmp_path, mail__wrong_txt=text)
    with pytest.raises(TemplateError) as caught:
        templates.render("mail/wrong.txt", name="Zed")
    assert str(caught.value).startswith(f"{tmp_path}/mail/wrong.txt{where}")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_undefined_name_in_an_included_template(tmp_path: Path) -> None:
    templates = write(tmp_path, a_txt='one\n<%include file="b.txt"/>', b_txt="one\ntwo\n${nobody}")
    with pytest.raises(TemplateError, match=r"b\.txt:3: 'nobody' is not defined; given were: noth"):
        templates.render("a.txt")


def test_a_template_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(TemplateError, match=r"a\.txt: Unicode decode"):
        Templates([tmp_path]).render("a.txt")


def test_other_exceptions_pass_with_a_note(tmp_path: Path) -> None:
    templates = write(tmp_path, a_txt="one\n${1 / n}")
    with pytest.raises(ZeroDivisionError) as caught:
        templates.render("a.txt", n=0)
    assert caught.value.__notes__ == [f"in template {tmp_path}/a.txt:2"]


def test_edits_show_only_when_reloading(tmp_path: Path) -> None:
    write(tmp_path, a_txt="old")
    fixed, reloading = Templates([tmp_path]), Templates([tmp_path], reload=True)
    assert (fixed.render("a.txt"), reloading.render("a.txt")) == ("old", "old")
    assert not fixed.has("b.txt")
    write(tmp_path, a_txt="new", b_txt="b")
    later = (tmp_path / "a.txt").stat().st_mtime + 10
    os.utime(tmp_path / "a.txt", (later, later))
    assert (fixed.render("a.txt"), reloading.render("a.txt")) == ("old", "new")
    assert (fixed.has("b.txt"), reloading.has("b.txt")) == (False, True)


def test_a_response_from_text_and_its_html_sibling(tmp_path: Path) -> None:
    templates = write(tmp_path, a_txt="Hi ${name}\n", a_html="<p>${name}", b_html="<b>${name}")
    message = templates.respond("a.txt", {"name": "<Zed>"}, **ADDRESSES)
    assert (message.body, message.html) == ("Hi <Zed>\n", "<p>&lt;Zed&gt;")
    assert (message["Subject"], message.to, message.sender) == (
        "Hello",
        ["zed@example.com"],
        "list@test.com",
    )
    message = templates.respond(
        "a.txt", {"name": "Z"}, html="b.html", headers={"X": "y"}, **ADDRESSES
    )
    assert (message.html, message["X"]) == ("<b>Z", "y")


def test_a_response_from_text_alone_or_html_alone(tmp_path: Path) -> None:
    templates = write(tmp_path, a_txt="Hi", b_html="<p>a &amp; ${name}</p>")
    assert templates.respond("a.txt", {}, **ADDRESSES).html is None
    message = templates.respond("b.html", {"name": "<Zed>"}, **ADDRESSES)
    assert (message.body, message.html) == ("a & <Zed>\n", "<p>a &amp; &lt;Zed&gt;</p>")


STYLED = (
    "<html><head><style>p {color: red} @media print {p {color: black}}</style>"
    "<link rel='stylesheet' href='http://127.0.0.1:9/x.css'></head><body><p>a</p></body></html>"
)


def test_styles_are_inlined_and_nothing_is_fetched(tmp_path: Path) -> None:
    pytest.importorskip("css_inline")
    html = write(tmp_path, a_html=STYLED).respond("a.html", {}, **ADDRESSES).html or ""
    assert '<p style="color: red;">a</p>' in html
    assert "@media print" in html


def test_styles_stay_where_css_inline_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "css_inline":
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    html = write(tmp_path, a_html=STYLED).respond("a.html", {}, **ADDRESSES).html
    assert html == STYLED


def test_mako_is_imported_only_when_something_is_rendered() -> None:
    code = "import sys, lamson.message.templates; sys.exit('mako' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_language_has_templates_of_its_own_also_within(tmp_path: Path) -> None:
    templates = write(
        tmp_path,
        mail__hi_txt='Hi<%include file="foot.txt"/>',
        mail__foot_txt=" bye",
        layout_txt="[${next.body()}]",
    )
    (tmp_path / "mail/hi.de.txt").write_text(
        '<%inherit file="/layout.txt"/>Hallo<%include file="foot.txt"/>'
    )
    (tmp_path / "mail/foot.de.txt").write_text(" tschüs")
    (tmp_path / "layout.de-at.txt").write_text("(${next.body()})")
    (tmp_path / "mail/hi.de.html").write_text("<p>Hallo")

    def said(language: str | None) -> str | None:
        return templates.respond("mail/hi.txt", {}, language=language, **ADDRESSES).body

    assert [said(one) for one in (None, "fr", "de", "de-AT", "DE_at", "de-CH")] == [
        *("Hi bye", "Hi bye", "[Hallo tschüs]"),
        *("(Hallo tschüs)", "(Hallo tschüs)", "[Hallo tschüs]"),
    ]
    message = templates.respond("mail/hi.txt", {}, language="de", **ADDRESSES)
    assert message.html == "<p>Hallo"
    assert templates.respond("mail/hi.txt", {}, **ADDRESSES).html is None
    for wrong in ("", "../x", "de.txt", "de/at"):
        with pytest.raises(ValueError, match="not a language"):
            said(wrong)


MARKDOWN = "## Hello ${name}\n\n* one\\\n  two\n* [confirm](https://test.com/?t=${token})\n"


def test_markdown_makes_both_parts(tmp_path: Path) -> None:
    templates = write(tmp_path, mail__hi_md=MARKDOWN)
    message = templates.respond("mail/hi.md", {"name": "Zed", "token": "a_b_c"}, **ADDRESSES)
    assert message.body == (
        "## Hello Zed\n\n* one\\\n  two\n* [confirm](https://test.com/?t=a_b_c)\n"
    )
    html = message.html or ""
    assert "<h2>Hello Zed</h2>" in html
    assert "<li>one<br />\ntwo</li>" in html
    assert '<a href="https://test.com/?t=a_b_c">confirm</a>' in html
    assert html.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "value",
    [
        "<script>alert(1)</script>",
        "*x* _y_ `z` ~~a~~",
        "[x](javascript:alert(1)) <https://evil.example>",
        "![x](http://evil.example/pixel)",
        "# heading\n- list\n1. one\n> quote\n---\n|a|b|\n|-|-|\n",
        "a&lt;b\\",
    ],
)
def test_what_is_filled_into_markdown_has_no_meaning_there(tmp_path: Path, value: str) -> None:
    templates = write(
        tmp_path,
        a_md='Dear ${x},\n\n<div title="${x}">${x}</div>\n\n<%include file="b.txt"/>\n',
        b_txt="${x}",
    )
    message = templates.respond("a.md", {"x": value}, **ADDRESSES)
    assert value in (message.body or "")
    html = message.html or ""
    assert not re.search(r"<(?!/?(?:html|head|meta|body|p|div)\b|!DOCTYPE)", html), html
    assert "evil.example" not in re.sub(r"&#?\w+;", "", html) or "<a" not in html


def test_a_frame_for_markdown(tmp_path: Path) -> None:
    templates = write(
        tmp_path, mail__hi_md="*Hi*", markdown_html="<b>${content}</b>${name}", raw_md="${x | n}"
    )
    message = templates.respond("mail/hi.md", {"name": "<"}, **ADDRESSES)
    assert message.html == "<b><p><em>Hi</em></p>\n</b>&lt;"
    assert "<em>" in templates.render_html("raw.md", x="*x*", name="")
    assert templates.render("raw.md", x="*x*") == "*x*"


def test_mjml(tmp_path: Path) -> None:
    pytest.importorskip("mjml")
    page = "<mjml><mj-body><mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section>"
    page = page.format("Hi ${name}") + "</mj-body></mjml>"
    templates = write(tmp_path, a_txt="Hi", a_mjml=page, wrong_mjml="<mjml><nonsense")
    message = templates.respond("a.txt", {"name": "<script>"}, **ADDRESSES)
    assert message.body == "Hi"
    assert "<table" in (message.html or "")
    assert "Hi &lt;script&gt;" in (message.html or "")
    with pytest.raises(TemplateError, match=r"^wrong\.mjml: not MJML: "):
        templates.render("wrong.mjml")


def test_mjml_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mjml", None)
    with pytest.raises(TemplateError, match=r"^a\.mjml: MJML needs mjml-python: pip install"):
        write(tmp_path, a_mjml="<mjml>").render("a.mjml")


def test_a_strangers_languages_fill_no_memory(tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("hello")
    templates = Templates([tmp_path])
    for number in range(5000):
        templates.in_language("hello.txt", f"de-{number}")
    for number in range(100):
        templates.respond(
            "hello.txt",
            {},
            to="a@test.com",
            sender="b@test.com",
            subject="x",
            language=f"de-{number}",
        )
    assert len(templates._known) <= 5000
    assert len(templates._lookups) <= 300
    with pytest.raises(ValueError, match="not a language"):
        templates.in_language("hello.txt", "de" + "-abcdefgh" * 3000)
