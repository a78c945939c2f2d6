"""What the markup of a mail program tells about a text: where its signature stands, or old mail.

For `MailRequest.fragments`, of a body that was made from HTML. Mail programs name the elements that
they write: ``gmail_signature``, ``divRplyFwdMsg``, ``yahoo_quoted``. Each such element gets a
character that the markup does not have, that markup is made into text, and the lines of the body
in which these characters come out are those that are marked. So the renderer needs to know nothing
of it. Where the text has letters that the body has not there are no marks. Linear; nothing raises.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.message import html_text
from lamson.message.fragments import MAX_LINES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.message.fragments import Kind
    from lamson.message.parsed import ParsedMessage

MAX_MARKS = 100  # elements that are marked

_ELEMENT = re.compile(
    r"<(?P<name>div|span|p|table|blockquote|section|pre|hr"
    r"|td)\b(?P<attributes>[^<>]{1,1000})>",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"(class|id|data-smartmail|name)\s*+=\s*+(?:\"([^\">]*+)|'([^'>]*+)|([^\s\"'>]++))",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(
    r"(?:x_)*+(?:gmail_signature|moz-signature|applemailsignature"
    r"|protonmail_signature_block(?:-user)?|signature|ms-outlook-mobile-signature"
    r"|outlookmobilesignature|ydp[\w-]*signature|yahoo-signature"
    r"|zm_[\w-]*signature|tutanota_signature|messagesignaturesection|email-signature"
    r"|(?:front|sh|edo|missive|superhuman|mailspring|airmail|spark|hs)[_-]signature)",
    re.IGNORECASE,
)
# Old mail below, to the end; those whose old mail stands in a blockquote need no mark.
_OLD = re.compile(
    r"(?:x_)*+(?:divRplyFwdMsg|appendonsend|OLK_SRC_BODY_SECTION"
    r"|mail-editor-reference-message-container"
    r"|ms-outlook-mobile-reference-message|yahoo_quoted|ydp[\w-]*yahoo_quoted)",
    re.IGNORECASE,
)
# Characters that are nobody's, and stand for themselves in any text.
_BEGIN, _END, _QUOTE = "\U000f5301", "\U000f5302", "\U000f5303"
_ANY = re.compile(f"[{_BEGIN}{_END}{_QUOTE}]")
_DECORATION = re.compile(r"[\s>]+")


def of(content: ParsedMessage) -> dict[int, Kind]:
    """The marks of the lines of the body of ``content``; {} where it was not made from HTML."""
    body = content.body
    html = content.html if body else None
    if html is None:
        return {}
    marked = _marked(html[: html_text.MAX_HTML])
    if marked is None:
        return {}
    rendered = html_text.text_of(marked)
    letters = _bare(_ANY.sub("", rendered))
    at = _bare(body).find(letters) if letters else -1
    return _lines_of(rendered, body, at) if at >= 0 else {}


def _marked(html: str) -> str | None:
    """The markup with a character in each element that tells something; None where none does."""
    if _ANY.search(html):
        return None
    pieces: list[str] = []
    start = 0
    ends: list[int] = []
    for found in _ELEMENT.finditer(html):
        names = list(_names(found["attributes"]))
        is_signature = any(map(_SIGNATURE.fullmatch, (name for _, name in names)))
        if not is_signature and not any(
            _OLD.fullmatch(name) for attribute, name in names if attribute != "data-smartmail"
        ):
            continue
        if found.start() < start:
            continue
        if len(ends) == MAX_MARKS:
            break
        ends.append(found.end())
        where = found.start() if found["name"].lower() == "hr" else found.end()
        pieces += [html[start:where], _BEGIN if is_signature else _QUOTE]
        start = where
        if is_signature and (end := _end_of(html, found["name"], found.end())) is not None:
            pieces += [html[start:end], _END]
            start = end
    return "".join([*pieces, html[start:]]) if pieces else None


def _names(attributes: str) -> Iterator[tuple[str, str]]:
    """What an element is called: the attribute, and each word in it."""
    for found in _VALUE.finditer(attributes):
        for word in (found[2] or found[3] or found[4] or "").split():
            yield found[1].lower(), word


def _end_of(html: str, name: str, start: int) -> int | None:
    """Where the element that began before ``start`` ends, None where it does not."""
    depth = 1
    end = min(len(html), start + (1 << 14))
    for tag in re.compile(rf"<(/?){name}\b", re.IGNORECASE).finditer(html, start, end):
        depth += -1 if tag[1] else 1
        if not depth:
            return tag.start()
    return None


def _bare(text: str) -> str:
    return _DECORATION.sub("", text)


def _lines_of(rendered: str, body: str, at: int) -> dict[int, Kind]:
    """The line of ``body`` in which each mark stands, by the letters before it.

    ``at`` is how many letters the body has before those that were ``rendered``.
    """
    letters: list[tuple[int, str]] = []
    count = 0
    start = 0
    for found in _ANY.finditer(rendered):
        count += len(_bare(rendered[start : found.start()]))
        letters.append((count, found[0]))
        start = found.end()
    marks: dict[int, Kind] = {}
    waiting = iter(letters)
    mark = next(waiting, None)
    seen = -at
    for number, line in enumerate(body.split("\n", MAX_LINES)):
        width = len(_bare(line))
        # A mark belongs to the line that its next letter is in.
        while mark is not None and width and seen <= mark[0] < seen + width:
            _mark(marks, number if mark[0] == seen or mark[1] != _END else number + 1, mark[1])
            mark = next(waiting, None)
        seen += width
        if mark is None:
            break
    return marks


def _mark(marks: dict[int, Kind], number: int, character: str) -> None:
    kind: Kind = "quote" if character == _QUOTE else "signature"
    if character == _END:
        kind = "new"
        if marks.get(number) == "quote":
            return
    marks[number] = kind
