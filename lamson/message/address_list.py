"""The mailboxes in an address field that a stranger wrote, found where a person would find them.

For `ParsedMessage` and `Message`. RFC 5322 section 3.4 says what is right, and
`lamson.smtp.address` reads that; this reads what programs send besides: a comma in a name without
quotes or in an encoded word, brackets that do not end, an address as its own name, a semicolon
behind it. Nobody is made up: what is no address is left out, two addresses are two. Linear, total.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lamson.errors import AddressError
from lamson.message.encoded_words import decode_words, unfold
from lamson.message.mailboxes import MAX_NAME, Mailbox
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lamson.message.defects import Defects

MAX_FIELD = 1 << 16  # octets of a field that are read
MAX_MAILBOXES = 1000  # of all fields of one name

_MAX_ADDRESS = 1000  # characters, with blanks and a route
_MAX_NAME = 20  # words before the first comma in a name

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]++)
      | (?P<word>=\?[^?\s]{1,80}\?[bq]\?[^?\s]*+\?=)
      | (?P<local>"(?>(?:[^"\\]|\\.){0,64})"@[^\s<>,;()"]++)
      | (?P<angle><\s*+(?:"(?>(?:[^"\\]|\\.){0,64})"@)?[^<>"]*+>)
      | (?P<end>[,;])
      | (?P<colon>:(?!//|[^\s,;<>]{0,320}@))
      | (?P<atom>(?:(?<=@)\[(?:ipv6:)?[0-9a-f:.]{2,60}\]
                  |[^\s,;:<>()"=]|=(?!\?[^?\s]{1,80}\?[bq]\?))++|[=:])""",
    re.VERBOSE | re.IGNORECASE,
)
_QUOTED = re.compile(r'"((?>(?:[^"\\]|\\.)*))"', re.DOTALL)
_OPEN_ANGLE = re.compile(r"<[^<>\",;]*+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# "Joe [mailto:joe@example.com]", and "SMTP:" as Exchange has it: what stands before the address.
_BEFORE = re.compile(r"\[?(?:(?<![^\W_])(?:mailto|smtp):)?\Z", re.IGNORECASE)
_COMMENT_MARK = re.compile(r"\\.|[()]", re.DOTALL)
_BLANKS = re.compile(r"\s+")
_NO_CHARACTER = re.compile("[\ud800-\udfff\ufffd]")
_NO_DOMAIN = re.compile(r"=[^@]*\Z")  # "joe@example.com=20"
_ROUTE = re.compile(r"@[^:]*+:")  # RFC 5322 section 4.4
# What is copied along with an address and not seen, and marks of other alphabets around it.
_UNSEEN = "\xa0\xad\u200b-\u200f\u202a-\u202f\u2060-\u2069\u3000\ufeff"
_MARKS = "\u2018\u2019\u201c\u201d\u2039\u203a\xab\xbb\uff1c\uff1e"  # quotes, and <> as wide ones
_AT_ITS_ENDS = re.compile(
    rf"\A[{_UNSEEN}{_MARKS}]++|(?<=@)[{_UNSEEN}]++|[{_UNSEEN}]++(?=@)|[{_UNSEEN}{_MARKS}]++\Z"
)
_AROUND = "'\"`.,;:<>[]()"


class _Token(NamedTuple):
    kind: str  # quoted, comment, word, atom, angle, local, end or colon
    text: str
    is_apart: bool  # white space stands before it


def read(values: Iterable[bytes], defects: Defects, name: str) -> list[Mailbox]:
    """The mailboxes of the fields with these ``values``, in order. ``name`` is the fields'."""
    found: list[Mailbox] = []
    for value in values:
        # A name may be in an old charset that nothing names, an address may not.
        text = unfold(value[:MAX_FIELD]).decode("utf-8", "surrogateescape")
        if len(value) > MAX_FIELD:
            defects.add(f"{name}: longer than {MAX_FIELD} octets, not all was read", kind="limit")
        ours = list(_mailboxes(text, defects, name))
        if not ours and "=?" in text:  # some encode the address, too
            decoded = decode_words(_octets(text), defects, name)
            ours = list(_mailboxes(decoded, defects, name))
        found += ours
        if len(found) > MAX_MAILBOXES:
            defects.add(f"{name}: more than {MAX_MAILBOXES} mailboxes", kind="limit")
            return found[:MAX_MAILBOXES]
    return found


def _mailboxes(text: str, defects: Defects, name: str) -> Iterator[Mailbox]:
    element: list[_Token] = []
    for token in (*_tokens(text), _Token("end", ",", False)):
        if token.kind == "colon":
            element.clear()  # the name of a group
        elif token.kind != "end":
            element.append(token)
        elif element and (mailboxes := list(_of_element(element, defects, name))):
            yield from mailboxes
            element = []
        elif (
            token.text == "," and 0 < len(element) <= _MAX_NAME
        ):  # a comma in a name: "Doe, Joe <joe@example.com>"
            element.append(_Token("atom", ",", False))
        else:
            element = []


def _of_element(element: list[_Token], defects: Defects, name: str) -> Iterator[Mailbox]:
    """What stands between two commas: most often one mailbox, none in a part of a name."""
    angles = [(at, _address(one.text)) for at, one in enumerate(element) if one.kind == "angle"]
    places = [(at, found) for at, found in angles if found]
    if not places:
        places = [
            (at, found)
            for at, one in enumerate(element)
            if one.kind in ("atom", "local") and "@" in one.text and (found := _address(one.text))
        ]
    if not places and any("@" in one.text for one in element if one.kind == "atom"):
        spelt = "".join(one.text for one in element if one.kind in ("atom", "quoted"))
        if found := _address(spelt):
            yield Mailbox("", found)
        return
    if not places:  # some have the name and the address change places: "Joe Doe (joe@example.com)"
        kinds = ("comment",) if angles else ("comment", "quoted")  # or quote the address as a whole
        comments = [(at, one.text) for at, one in enumerate(element) if one.kind in kinds]
        places = [(at, found) for at, text in comments if "@" in text and (found := _address(text))]
    start = 0
    for at, found in places:
        is_last = at == places[-1][0]
        rest = [*element[start:at], *(element[at + 1 :] if is_last else ())]
        yield Mailbox(_name([one for one in rest if one.kind != "angle"], defects, name), found)
        start = at + 1


def _address(text: str) -> str:
    """The address, in canonical form; "" where it is none."""
    if len(text) > _MAX_ADDRESS:
        return ""
    if '"' not in text:
        text = _BLANKS.sub("", _without_comments(text) if "(" in text else text)
    text = text.strip().lstrip("<'`([").removesuffix(">").strip()
    if not text.isascii():
        text = _AT_ITS_ENDS.sub("", text)
    if text[:7].lower() == "mailto:":
        text = text[7:]
    if route := _ROUTE.match(text):
        text = text[route.end() :]
    if "@" in text:
        text = _NO_DOMAIN.sub("", text)
    text = text.rstrip(_AROUND) if not text.endswith("]") or "[" not in text else text
    return usable(text)


def _without_comments(text: str) -> str:
    """An address without the comments that may stand in it (RFC 5322 section 3.2.2)."""
    kept, at = "", 0
    while (begin := text.find("(", at)) >= 0 and (end := _end_of_comment(text, begin + 1)):
        kept += text[at:begin]
        at = end
    return kept + text[at:]


def usable(text: str) -> str:
    """The address in canonical form, where it can be compared and answered; else ""."""
    if not text.isascii() and _NO_CHARACTER.search(text):
        return ""
    try:
        found = address.parse_mailbox(text, smtputf8=True)
        if not found.isascii():  # folded, a few characters are others, and some addresses too long
            address.parse_mailbox(address.normalise(found), smtputf8=True)
            if _AT_ITS_ENDS.search(found):
                return ""
    except AddressError:
        return ""
    return "" if "@" not in found else found


def _name(tokens: list[_Token], defects: Defects, field: str) -> str:
    """The display name; else the text of a comment (RFC 5322 section 3.4, as it was before)."""
    named = [one for one in tokens if one.kind != "comment"] or tokens
    text = "".join(f" {one.text}" if one.is_apart else one.text for one in named)
    decoded = decode_words(_octets(text), defects, field)
    shown = _BEFORE.sub("", _BLANKS.sub(" ", decoded).rstrip()).strip(" ,")
    if len(shown) > 1 and shown[0] == shown[-1] and shown[0] in "'\"":
        shown = shown[1:-1]
    return shown[:MAX_NAME].strip()


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _tokens(text: str) -> Iterator[_Token]:
    at, is_apart = 0, False
    has_quotes = has_comments = True  # until one is found that does not end
    while at < len(text):
        kind, content, end = "skip", "", at + 1
        if text[at] == '"' and has_quotes and not (_TOKEN.match(text, at)):
            quoted = _QUOTED.match(text, at)
            has_quotes = quoted is not None
            if quoted:
                kind, content, end = "quoted", _ESCAPED.sub(r"\1", quoted[1]), quoted.end()
        elif text[at] == "(" and has_comments:
            close = _end_of_comment(text, at + 1)
            has_comments = close > 0
            if close:
                kind, content, end = "comment", text[at + 1 : close - 1], close
        elif found := _TOKEN.match(text, at):
            kind, content, end = found.lastgroup or "skip", found[0], found.end()
        elif text[at] == "<" and (found := _OPEN_ANGLE.match(text, at)) and "@" in found[0]:
            kind, content, end = "angle", found[0], found.end()
        if kind not in ("space", "skip"):
            yield _Token(kind, content, is_apart)
        is_apart = kind == "space" or (kind == "skip" and is_apart)
        at = end


def _end_of_comment(text: str, at: int) -> int:
    """The position after a comment whose parenthesis was read, which may nest; 0 without an end."""
    depth = 1
    for mark in _COMMENT_MARK.finditer(text, at):
        depth += {"(": 1, ")": -1}.get(mark[0], 0)
        if depth == 0:
            return mark.end()
    return 0
