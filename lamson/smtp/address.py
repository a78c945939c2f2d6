"""Mail addresses: the paths of an envelope, the author in a From: field.

For the LMTP front end, which asks per MAIL and RCPT, and for whatever sends or compares addresses.
Everything is pure and takes time linear in its input. A text that is not what it should be raises
`AddressError`, which names it; `single_mailbox`, which judges what strangers wrote, gives None
instead.

The canonical form of an address has its domain in lower case and its local part as it was typed,
quoted only where RFC 5321 needs the quotes. So `"joe"@Example.ORG` and `joe@example.org` are one
text, and any canonical address may stand between the angle brackets of MAIL or RCPT as it is.
Whether two canonical addresses are one is for `normalise` to say.
"""

from __future__ import annotations

import ipaddress
import re

from lamson.errors import AddressError
from lamson.smtp import folding

NULL_PATH = ""
"""The null reverse-path ``<>``, the envelope sender of bounces and automatic answers."""

MAX_PATH = 256  # octets, with the angle brackets: RFC 5321 section 4.5.3.1.3
MAX_HEADER = 8192  # characters of a From: field that single_mailbox looks at

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"  # RFC 5322 section 3.2.3
_UTF8 = "\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff"  # RFC 6531: no controls, no line separators
# An underscore is no letter of a host name, but Postfix passes it.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_ULABEL = rf"[A-Za-z0-9_{_UTF8}](?:[A-Za-z0-9_{_UTF8}-]{{0,61}}[A-Za-z0-9_{_UTF8}])?"

# Possessive quantifiers and atomic groups keep the expressions linear: nothing is ever tried a
# second time. Possessive ones stand behind a single character only: behind a group they match what
# they should not in CPython before 3.11.5 (issue 106052), and Debian 12 has 3.11.2.
_PLAIN = rf"([{_ATEXT}]++(?>(?:\.[{_ATEXT}]++)*))@({_LABEL}(?>(?:\.{_LABEL})*))"
_PLAIN_MAILBOX = re.compile(_PLAIN)
_PLAIN_PATH = re.compile(f"<{_PLAIN}>")
_PLAIN_FROM = re.compile(
    rf'[ \t\r\n]*+(?:{_PLAIN}|(?:"[^"\\]*+"[ \t]*+|[^"\\<>()\[\]:;@,]*+)<{_PLAIN}>)[ \t\r\n]*+'
)
_DOT_STRING = re.compile(rf"[{_ATEXT}{_UTF8}]++(?>(?:\.[{_ATEXT}{_UTF8}]++)*)")
_LOCAL = re.compile(
    rf'[{_ATEXT}.{_UTF8}]++|"(?>(?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*)"'  # RFC 5321 4.1.2, RFC 6531 3.3
)
_DOMAIN = re.compile(rf"{_ULABEL}(?>(?:\.{_ULABEL})*)")
_SOURCE_ROUTE = re.compile(rf"@{_LABEL}(?>(?:\.{_LABEL})*)(?>(?:,@{_LABEL}(?>(?:\.{_LABEL})*))*):")
_ESCAPED = re.compile(r"\\(.)")

# A From: field falls into these; white space separates and is dropped (RFC 5322 section 3.2).
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]++)
      | (?P<quoted>"(?>(?:[^"\\]|\\.)*)")
      | (?P<literal>\[[^\[\]\\]*+\])
      | (?P<special>[<>@,:;])
      | (?P<comment>\()
      | (?P<atom>[^\x00-\x20"\\\[\]<>@,:;()\x7f]++)""",
    re.VERBOSE | re.DOTALL,
)
_GROUP_END = ("special", ";")
_COMMENT_MARK = re.compile(r"\\.|[()]", re.DOTALL)


def parse_mailbox(text: str, *, smtputf8: bool = False) -> str:
    """The canonical form of a Mailbox: ``local@domain`` (RFC 5321 section 4.1.2).

    The domain may be an address literal such as ``[192.0.2.1]``. With ``smtputf8`` both sides may
    hold UTF-8 (RFC 6531 section 3.3). A bare ``postmaster`` is right too (RFC 5321 section 4.5.1).

    More is taken than the grammar has, because Postfix passes it and refusing would bounce
    somebody's mail: dots anywhere in an unquoted local part, and local parts over 64 octets (RFC
    5321 section 4.5.3.1 makes that a size to be accepted at least). The whole is held to 254
    octets. Raises AddressError for anything else.
    """
    plain = _PLAIN_MAILBOX.fullmatch(text)
    if plain is not None and len(text) <= MAX_PATH - 2:
        local, domain = plain.groups()
        return f"{local}@{domain.lower()}"
    if not smtputf8 and not text.isascii():
        raise _wrong(text, "only ASCII is allowed without SMTPUTF8")
    local_match = _LOCAL.match(text)
    if local_match is None:
        raise _wrong(text, "it has no valid local part before the @")
    local, rest = _dequoted(local_match[0]), text[local_match.end() :]
    if not rest and local.lower() == "postmaster":
        return "postmaster"
    if not rest.startswith("@"):
        raise _wrong(text, f"{rest[0]!r} may not stand there" if rest else "the @domain is missing")
    mailbox = f"{_quoted(local)}@{_parse_domain(text, rest[1:])}"
    if len(mailbox.encode()) > MAX_PATH - 2:
        raise _wrong(text, f"it is longer than {MAX_PATH - 2} octets")
    return mailbox


def parse_path(text: str, *, smtputf8: bool = False, null: bool = False) -> str:
    """The address in ``<…>``, the argument of MAIL FROM: and RCPT TO: (RFC 5321 section 4.1.2).

    A source route (``<@relay,@relay:user@host>``) is dropped (RFC 5321 appendix C). ``<>`` gives
    `NULL_PATH` where ``null`` allows it. Raises AddressError as parse_mailbox does.
    """
    plain = _PLAIN_PATH.fullmatch(text)
    if plain is not None and len(text) <= MAX_PATH:
        local, domain = plain.groups()
        return f"{local}@{domain.lower()}"
    if len(text) < 2 or text[0] != "<" or text[-1] != ">":
        raise _wrong(text, "it must stand between < and >")
    mailbox = text[1:-1]
    if not mailbox:
        if null:
            return NULL_PATH
        raise _wrong(text, "it is empty")
    source_route = _SOURCE_ROUTE.match(mailbox)
    if source_route is not None:
        mailbox = mailbox[source_route.end() :]
    return parse_mailbox(mailbox, smtputf8=smtputf8)


def normalise(address: str) -> str:
    """The form in which two addresses are compared (see `lamson.smtp.folding`)."""
    return folding.fold(address)


def for_ascii(address: str) -> str:
    """A canonical address as it can be written without SMTPUTF8, where it can: in A-labels.

    Only a local part beyond ASCII needs SMTPUTF8 (RFC 6531 section 3.2); what has one stays as is,
    and so does a domain that has no A-labels, or too long ones. Never raises.
    """
    local, domain = split(address)
    if address.isascii() or not local.isascii():
        return address
    try:
        return parse_mailbox(f"{local}@{folding.written_domain(domain)}")
    except AddressError:
        return address


def split(address: str) -> tuple[str, str]:
    """``(local part, domain)`` of a canonical address; the domain is "" where there is none."""
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (address, "")


def single_mailbox(header_value: str) -> str | None:
    """The one address in a From: field (RFC 5322 section 3.6.2), in canonical form, else None.

    Give it the field as it came, encoded words (RFC 2047) not yet decoded: a decoded display name
    may hold a comma. None where the field has no mailbox or several, where any part of it is
    malformed, and where it is longer than 8,192 characters. Never raises.
    """
    if len(header_value) > MAX_HEADER:
        return None
    plain = _PLAIN_FROM.fullmatch(header_value)
    if plain is not None:
        local, domain = plain.group(1, 2) if plain[1] else plain.group(3, 4)
        address = f"{local}@{domain.lower()}"
        return address if len(address) <= MAX_PATH - 2 else None
    tokens = _tokens(header_value)
    mailboxes = None if tokens is None else _mailboxes(tokens)
    if mailboxes is None or len(mailboxes) != 1:
        return None
    try:
        return parse_mailbox(mailboxes[0], smtputf8=True)
    except AddressError:
        return None


def _wrong(text: str, problem: str) -> AddressError:
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    return AddressError(f"not a mail address: {shown!a}: {problem}")


def _parse_domain(text: str, domain: str) -> str:
    domain = domain.lower()  # first: the lower case of a few letters is longer
    if domain.startswith("["):
        if not domain.endswith("]") or not _is_literal(domain[1:-1]):
            raise _wrong(text, "the address literal is neither [IPv4] nor [IPv6:...]")
    elif _DOMAIN.fullmatch(domain) is None:
        raise _wrong(text, "the domain is not valid")
    return domain


def _is_literal(content: str) -> bool:
    """RFC 5321 section 4.1.3; no other tag than IPv6 is registered."""
    try:
        if content.startswith("ipv6:"):
            return ipaddress.IPv6Address(content[5:]).scope_id is None
        return bool(ipaddress.IPv4Address(content))
    except ValueError:
        return False


def _dequoted(local: str) -> str:
    return _ESCAPED.sub(r"\1", local[1:-1]) if local.startswith('"') else local


def _quoted(content: str) -> str:
    if _DOT_STRING.fullmatch(content):
        return content
    escaped = content.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _tokens(text: str) -> list[tuple[str, str]] | None:
    """``(kind, text)`` of each token, comments and white space left out; None where it is torn."""
    tokens = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or token.lastgroup is None:
            return None
        position = token.end()
        if token.lastgroup == "comment":
            position = _end_of_comment(text, position)
            if not position:
                return None
        elif token.lastgroup != "space":
            tokens.append((token.lastgroup, token[0]))
    return tokens


def _end_of_comment(text: str, position: int) -> int:
    """The position after a comment whose first parenthesis was read; 0 where it does not end.

    Comments nest (RFC 5322 section 3.2.2); counting instead of recursion bears any depth.
    """
    depth = 1
    for mark in _COMMENT_MARK.finditer(text, position):
        depth += {"(": 1, ")": -1}.get(mark[0], 0)
        if depth == 0:
            return mark.end()
    return 0


def _mailboxes(tokens: list[tuple[str, str]]) -> list[str] | None:
    """The addr-specs of an address list, groups opened (RFC 5322 section 3.4), or None."""
    found: list[str] = []
    element: list[tuple[str, str]] = []
    in_group = in_angle = False
    for kind, text in [*tokens, ("special", ",")]:
        if kind == "special" and text in ",;" and not in_angle:
            if element and element != [_GROUP_END]:
                mailbox = _addr_spec(element)
                if mailbox is None:
                    return None
                found.append(mailbox)
            element = []
            if text == ";":
                if not in_group:
                    return None
                in_group, element = False, [_GROUP_END]
        elif kind == "special" and text == ":" and not in_angle:
            if in_group or not element or not _is_phrase(element):
                return None
            in_group, element = True, []
        else:
            in_angle = text == "<" or (in_angle and text != ">")
            element.append((kind, text))
    return None if in_group or in_angle else found


def _addr_spec(element: list[tuple[str, str]]) -> str | None:
    """The ``local@domain`` of one mailbox, with or without a display name before ``<…>``."""
    if ("special", "<") in element:
        start = element.index(("special", "<"))
        if not _is_phrase(element[:start]) or element[-1] != ("special", ">"):
            return None
        element = element[start + 1 : -1]
    kinds = [kind for kind, _ in element]
    if len(element) != 3 or element[1] != ("special", "@") or kinds[0] not in ("atom", "quoted"):
        return None
    return "".join(text for _, text in element)


def _is_phrase(tokens: list[tuple[str, str]]) -> bool:
    return all(kind in ("atom", "quoted") for kind, _ in tokens)
