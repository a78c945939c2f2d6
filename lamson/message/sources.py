"""What a template is written in, by its name: text, HTML, Markdown or MJML.

For `Templates`. Markdown makes both parts of a message: its source is the text, which people read
as it is, and markdown-it-py makes the HTML. What is filled in shows in either as it is: for HTML it
is escaped, and in Markdown that becomes HTML nothing in it has a meaning. MJML is made HTML by the
package mjml-python, an extra.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lamson.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable

Kind: TypeAlias = "Literal['text', 'html', 'markdown', 'source']"
"""What is rendered: ``markdown`` is Markdown that becomes HTML, ``source`` what is the text."""

FRAME = "markdown.html"  # the template round HTML that was made from Markdown; its ${content}

_HTML = (".html", ".htm", ".xhtml", ".mjml")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
# In Mako "##" at the start of a line begins a comment, and "\\" at the end of one joins two.
_HEADING = re.compile(r"^([ \t]*)(##+)", re.MULTILINE)
_HARD_BREAK = re.compile(r"\\(\r?\n)")


def is_markdown(template: str) -> bool:
    return template.lower().endswith(".md")


def is_mjml(template: str) -> bool:
    return template.lower().endswith(".mjml")


def kind_of(template: str) -> Kind:
    """``html`` or ``text``: of Markdown it is the text that is meant, unless HTML is asked for."""
    return "html" if template.lower().endswith(_HTML) else "text"


def in_markdown(value: object) -> str:
    """``value`` as Markdown that shows it as it is, and as safe HTML where that stands in it.

    A character reference is never syntax (CommonMark section 2.5), not even in an address.
    """
    if hasattr(value, "__html__"):
        return str(value.__html__())
    return _PUNCTUATION.sub(lambda found: f"&#{ord(found[0])};", str(value))


class _Html(str):
    """HTML that a template shows as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def from_markdown(text: str) -> str:
    """The HTML of ``text``, in CommonMark with tables."""
    return _Html(_markdown()(text))


@cache
def _markdown() -> Callable[[str], str]:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render


def framed(content: str, language: str | None) -> str:
    """A page of HTML with ``content`` in it."""
    known = f' lang="{escape(language)}"' if language else ""
    return (
        f'<!DOCTYPE html>\n<html{known}>\n<head><meta charset="utf-8"></head>\n'
        f"<body>\n{content}</body>\n</html>\n"
    )


def from_mjml(markup: str, template: str) -> str:
    """The HTML of ``markup``. Raises TemplateError, also where the package is missing."""
    try:
        from mjml import mjml2html
    except ImportError:
        raise TemplateError(
            f"{template}: MJML needs mjml-python: pip install 'lamson-postfix[mjml]'"
        ) from None
    try:
        return str(mjml2html(markup))
    except Exception as error:
        raise TemplateError(f"{template}: not MJML: {error}") from error


def _for_mako(text: str) -> str:
    text = _HEADING.sub(lambda found: f"{found[1]}${{'{found[2]}' | n}}", text)
    return _HARD_BREAK.sub(lambda found: f"${{'\\\\' | n}}{found[1]}", text)


# What Mako is told for each kind.
OPTIONS: dict[Kind, dict[str, Any]] = {
    "text": {},
    "html": {"default_filters": ["h"]},
    "markdown": {
        "default_filters": ["in_markdown"],
        "imports": ["from lamson.message.sources import in_markdown"],
        "preprocessor": _for_mako,
    },
    "source": {"preprocessor": _for_mako},
}
