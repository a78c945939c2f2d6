"""lamson.message.sources; what templates make of them is tested with the templates."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lamson.message import sources


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", "text"),
        ("a.HTML", "html"),
        ("a.htm", "html"),
        ("a.xhtml", "html"),
        ("a.mjml", "html"),
        ("a.md", "text"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert sources.kind_of(name) == kind
    assert sources.is_markdown(name) == name.endswith(".md")
    assert sources.is_mjml(name) == name.endswith(".mjml")


@pytest.mark.parametrize(
    "value",
    [
        "*a* _b_ `c` ~~d~~",
        "[text](https://example.com) <https://example.com> ![i](x)",
        "<script>x</script> &amp; <!-- -->",
        "# 1. > - | a | b |",
        "javascript:alert(1)\\",
    ],
)
def test_what_is_filled_in_shows_as_it_is(value: str) -> None:
    from html import escape

    html = sources.from_markdown(f"Dear {sources.in_markdown(value)}!\n")
    assert html == f"<p>Dear {escape(value, quote=False)}!</p>\n".replace('"', "&quot;")
    address = sources.from_markdown(f"[x](https://example.com/{sources.in_markdown(')*(')})")
    assert address == '<p><a href="https://example.com/)*(">x</a></p>\n'


def test_what_is_html_already_stays_so() -> None:
    assert sources.in_markdown(sources.from_markdown("*a*")) == "<p><em>a</em></p>\n"


def test_a_page_names_its_language() -> None:
    assert '<html lang="de">' in sources.framed("<p>x</p>", "de")
    assert "<html>" in sources.framed("<p>x</p>", None)


def test_markdown_is_loaded_when_it_is_used() -> None:
    look = "import sys, lamson.message.templates; print('markdown_it' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True, text=True)
    assert ran.stdout == "False\n"
