"""The set: messages of each client, language and style, with what is right about each line.

Everything here is made up. A message is kept back, that is, was not looked at while the rules were
written, where a digest of its name says so.
"""

from __future__ import annotations

import hashlib
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from tests.fragments.languages import LANGUAGES, Language

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME, MAIL = "Ann Lee", "ann.lee@example.com"
Line = tuple[str, str]  # what it is, its text


class Message(NamedTuple):
    """``lines`` are (kind, text) of each line that says something."""

    name: str
    is_html: bool
    subject: str
    source: str
    lines: list[Line]

    @property
    def is_kept_back(self) -> bool:
        return hashlib.sha256(self.name.encode()).digest()[0] % 2 == 1


def messages() -> Iterator[Message]:
    for code, language in LANGUAGES.items():
        for client, (make, is_html) in CLIENTS.items():
            for style in STYLES:
                blocks = make(language, style)
                if blocks is None:
                    continue
                name = f"{client} {style} {code}"
                subject = "Fwd: Hello" if style == "forward" else "Re: Hello"
                yield Message(name, is_html, subject, _source(blocks, is_html), _lines(blocks))


STYLES = ("top", "bottom", "between", "forward", "alone", "signed", "list", "legal", "traps")
Block = tuple[str, str, list[str]]  # the kind, its markup with {} for the lines, the lines
_SIGNED = ["Joe Doe", "Example Ltd, 1 Main Street", "+1 555 0100"]
_LIST = [
    "_______________________________________________",
    "Meetings mailing list",
    "Meetings@lists.example.org",
    "https://lists.example.org/listinfo/meetings",
]
_GOOGLE = [
    'You received this message because you are subscribed to the Google Groups "meetings" group.',
    "To unsubscribe from this group, send an email to meetings+unsubscribe@googlegroups.com.",
]
_LEGAL = [
    "This e-mail and any attachments are confidential and intended solely for the addressee.",
    "If you are not the intended recipient, please delete it.",
]


def _source(blocks: list[Block], is_html: bool) -> str:
    if not is_html:
        return "\n".join(line for _, _, lines in blocks for line in lines) + "\n"
    out: list[str] = []
    for _, markup, lines in blocks:
        shown = [escape(line) for line in lines]
        if markup.count("{}") == 1:
            out.append(markup.replace("{}", "<br>".join(shown)))
        elif markup:
            out.append("".join(markup.replace("{.}", line) for line in shown))
    return "<html><body>" + "\n".join(out) + "</body></html>"


def _lines(blocks: list[Block]) -> list[Line]:
    return [
        (kind, text)
        for kind, _, lines in blocks
        for line in lines
        if (text := line.lstrip("> ").strip()) and kind
    ]


def _fill(pattern: str) -> str:
    return pattern.format(name=NAME, mail=MAIL)


def _quoted(lines: list[str]) -> list[str]:
    return [f"> {line}" if line else ">" for line in lines]


def _paragraphs(*lines: str) -> list[str]:
    out: list[str] = []
    for line in lines:
        out += [line, ""]
    return out


def _old(language: Language) -> list[str]:
    return ["Hello,", "", *language.old[:2], "", language.old[2], "Ann"]


def _headers(language: Language, *, bold: bool = False) -> list[str]:
    values = (f"{NAME} <{MAIL}>", language.date, "Joe Doe <joe@example.org>", "Hello")
    mark = "*" if bold else ""
    return [
        f"{mark}{label}:{mark} {value}"
        for label, value in zip(language.labels, values, strict=True)
    ]


def _new(language: Language) -> list[str]:
    return [*_paragraphs(*language.new), language.greeting, "Joe", ""]


# In plain text


def _text(
    language: Language, style: str, attribution: list[str], *, phone: bool = False
) -> list[Block] | None:
    """What clients write that mark each line of a quote."""
    new: Block = ("new", "", _new(language))
    quote: Block = ("quote", "", [*attribution, "", *_quoted(_old(language)), ""])
    if style == "top":
        return [new, *_phone(language, phone), quote]
    if style == "bottom":
        return [quote, new, *_phone(language, phone)]
    if style == "between":
        return [
            ("quote", "", [*attribution, "", *_quoted(["Hello,", "", language.old[0]]), ""]),
            ("new", "", [language.new[0], ""]),
            ("quote", "", [*_quoted(list(language.old[1:])), ""]),
            ("new", "", [*language.new[1:], ""]),
        ]
    if style == "alone":
        return [
            ("new", "", [f"{language.greeting}:", "", *_new(language)]),
            *_phone(language, phone),
        ]
    if style == "signed":
        return [new, ("signature", "", ["-- ", *_SIGNED, ""]), quote]
    if style == "list":
        return [new, quote, ("footer", "", _LIST)]
    if style == "legal":
        return [new, ("footer", "", [*_LEGAL, ""]), quote]
    if style == "traps":
        return [("new", "", _traps(language)), new, quote]
    return None


def _traps(language: Language) -> list[str]:
    """What looks like something else, and is new."""
    sender, sent, to, subject = language.labels
    return [
        *(f"{subject}: 15.01.2024, 10:04, joe@example.org:", "* one, on Monday", "* two", ""),
        *("-----", f"{language.forward}?", "", "On it.", f"{sender}: Berlin", f"{to}: Paris", ""),
        *(
            f"{language.date}:",
            "- 10:04 begin",
            "- 12:00 end",
            "",
            "---",
            f"{language.new[0]}!",
            "",
        ),
        *(f"{sent}!", "I wrote to her, and this is what I think about it:", "", "Nothing.", ""),
    ]


def _phone(language: Language, phone: bool) -> list[Block]:
    return [("signature", "", [language.phone, ""])] if phone else []


def _forwarded(language: Language, marker: list[str], old: list[str]) -> list[Block]:
    return [
        ("new", "", [language.new[0], ""]),
        ("forwarded", "", [*marker, *old, ""]),
    ]


def gmail(language: Language, style: str) -> list[Block] | None:
    if style == "forward":
        marker = [f"---------- {language.forward} ---------", *_headers(language), "", ""]
        return _forwarded(language, marker, _old(language))
    if style == "list":
        blocks = _text(language, "top", [_fill(language.gmail)]) or []
        return [*blocks, ("footer", "", ["-- ", *_GOOGLE])]
    return _text(language, style, _wrapped(_fill(language.gmail)))


def apple(language: Language, style: str) -> list[Block] | None:
    if style == "forward":
        marker = [language.apple_forward, "", *_quoted(_headers(language)), ">"]
        return _forwarded(language, marker, _quoted(_old(language)))
    return _text(language, style, [_fill(language.apple)])


def iphone(language: Language, style: str) -> list[Block] | None:
    if style in ("forward", "signed", "between", "traps"):
        return None
    return _text(language, style, [f"> {_fill(language.apple)}"], phone=True)


def thunderbird(language: Language, style: str) -> list[Block] | None:
    if style == "forward":
        marker = [f"-------- {language.forward} --------", *_headers(language), "", ""]
        return _forwarded(language, marker, _old(language))
    return _text(language, style, [_fill(language.thunderbird)])


def outlook(language: Language, style: str) -> list[Block] | None:
    """Which marks no line, and shows the header of the old mail."""
    if style in ("bottom", "between", "traps"):
        return None
    new: Block = ("new", "", _new(language))
    kind = "forwarded" if style == "forward" else "quote"
    old: Block = (
        kind,
        "",
        [f"-----{language.original}-----", *_headers(language), "", *_old(language), ""],
    )
    if style == "alone":
        return [("new", "", _new(language))]
    if style == "signed":
        return [new, ("signature", "", ["-- ", *_SIGNED, ""]), old]
    if style == "list":
        return [new, old, ("footer", "", _LIST)]
    if style == "legal":
        return [new, ("footer", "", [*_LEGAL, ""]), old]
    return [new, old]


def exchange(language: Language, style: str) -> list[Block] | None:
    """Which separates by a rule, in the form of today's web and mobile versions."""
    if style not in ("top", "forward", "signed"):
        return None
    kind = "forwarded" if style == "forward" else "quote"
    signed: list[Block] = [("signature", "", [language.outlook, ""])] if style == "signed" else []
    header = ["________________________________", *_headers(language, bold=True), ""]
    return [("new", "", _new(language)), *signed, (kind, "", [*header, *_old(language), ""])]


def yahoo(language: Language, style: str) -> list[Block] | None:
    """Which marks no line, below an attribution."""
    if style not in ("top", "signed"):
        return None
    signed: list[Block] = [("signature", "", [language.phone, ""])] if style == "signed" else []
    quote = [_fill(language.gmail), "", *_old(language), ""]
    return [("new", "", _new(language)), *signed, ("quote", "", quote)]


def _wrapped(line: str) -> list[str]:
    """As Gmail wraps plain text, at 78 columns."""
    if len(line) < 70 or " <" not in line:
        return [line]
    before, _, after = line.partition(" <")
    return [before, f"<{after}"]


# In HTML

_P = "<p>{.}</p>"
_DIV = "<div>{.}</div>"


def _html(
    language: Language,
    style: str,
    around: Callable[[Language, str], list[Block]],
    signature: Block,
    new: str = _DIV,
) -> list[Block] | None:
    text: Block = ("new", new, [line for line in _new(language) if line])
    if style == "alone":
        return [text]
    if style in ("top", "forward"):
        return [text, *around(language, style)]
    if style == "signed":
        return [text, signature, *around(language, style)]
    if style == "legal":
        legal: Block = ("footer", "<div>&nbsp;</div><p>{}</p>", _LEGAL)
        return [text, legal, *around(language, style)]
    if style == "list":
        return [text, *around(language, "top"), ("footer", "<pre>\n{}</pre>", _LIST)]
    return None


def _in_blockquote(opening: str, closing: str, attribution: str) -> Callable[..., list[Block]]:
    def around(language: Language, style: str) -> list[Block]:
        quoted = [line for line in _old(language) if line]
        line = getattr(language, attribution)
        return [("quote", opening, [_fill(line)]), ("quote", _DIV, quoted), ("", closing, [""])]

    return around


def _below_header(opening: str, marker: str = "") -> Callable[..., list[Block]]:
    def around(language: Language, style: str) -> list[Block]:
        kind = "forwarded" if style == "forward" else "quote"
        quoted = [line for line in _old(language) if line]
        shown = [marker.format(language.original)] if marker else []
        return [(kind, opening, [*shown, *_headers(language)]), (kind, _P, quoted)]

    return around


def gmail_html(language: Language, style: str) -> list[Block] | None:
    if style == "forward":
        marker = [f"---------- {language.forward} ---------", *_headers(language)]
        return [
            ("new", _DIV, [language.new[0]]),
            ("forwarded", '<br><div class="gmail_quote"><div class="gmail_attr">{}</div>', marker),
            ("forwarded", _DIV, [line for line in _old(language) if line]),
        ]
    around = _in_blockquote(
        '<br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">{}<br></div>'
        '<blockquote class="gmail_quote" style="margin:0 0 0 .8ex">',
        "</blockquote></div>{}",
        "gmail",
    )
    signed = '<div dir="ltr" class="gmail_signature" data-smartmail="gmail_signature">{}</div>'
    return _html(language, style, around, ("signature", signed, _SIGNED))


def apple_html(language: Language, style: str) -> list[Block] | None:
    if style == "forward":
        return None
    around = _in_blockquote(
        '<div><br><blockquote type="cite"><div>{}</div><br class="Apple-interchange-newline">',
        "</blockquote></div>{}",
        "apple",
    )
    signed = '<div><br></div><div id="AppleMailSignature" dir="ltr">{}</div>'
    return _html(language, style, around, ("signature", signed, [language.phone]))


def thunderbird_html(language: Language, style: str) -> list[Block] | None:
    if style == "forward":
        return None
    around = _in_blockquote(
        '<div class="moz-cite-prefix">{}<br></div><blockquote type="cite" cite="mid:1@x">',
        "</blockquote>{}",
        "thunderbird",
    )
    signed = '<pre class="moz-signature" cols="72">-- \n{}</pre>'
    return _html(language, style, around, ("signature", signed, _SIGNED), _P)


def outlook_html(language: Language, style: str) -> list[Block] | None:
    around = _below_header(
        '<div><div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm">'
        '<p class="MsoNormal">{}</p></div></div>'
    )
    return _html(
        language, style, around, ("signature", '<div id="Signature">{}</div>', _SIGNED), _P
    )


def outlook_web(language: Language, style: str) -> list[Block] | None:
    around = _below_header(
        '<div id="appendonsend"></div><hr style="display:inline-block;width:98%">'
        '<div id="divRplyFwdMsg" dir="ltr">{}</div>'
    )
    signed = '<div class="ms-outlook-mobile-signature">{}</div>'
    return _html(language, style, around, ("signature", signed, [language.outlook]))


def samsung(language: Language, style: str) -> list[Block] | None:
    around = _below_header("<div>{}</div>", "-------- {} --------")
    signed = "<div><br></div><div>{}</div>"
    return _html(language, style, around, ("signature", signed, [language.phone]))


def yahoo_html(language: Language, style: str) -> list[Block] | None:
    if style in ("forward", "list"):
        return None
    around = _in_blockquote(
        '<div id="yahoo_quoted_1" class="yahoo_quoted"><div>{}</div><div>',
        "</div></div>{}",
        "gmail",
    )
    signed = '<div class="ydp1234signature">{}</div>'
    return _html(language, style, around, ("signature", signed, _SIGNED))


CLIENTS: dict[str, tuple[Callable[[Language, str], list[Block] | None], bool]] = {
    "gmail": (gmail, False),
    "apple": (apple, False),
    "iphone": (iphone, False),
    "thunderbird": (thunderbird, False),
    "outlook": (outlook, False),
    "exchange": (exchange, False),
    "yahoo": (yahoo, False),
    "gmail-html": (gmail_html, True),
    "apple-html": (apple_html, True),
    "thunderbird-html": (thunderbird_html, True),
    "outlook-html": (outlook_html, True),
    "outlook-web-html": (outlook_web, True),
    "samsung-html": (samsung, True),
    "yahoo-html": (yahoo_html, True),
}
