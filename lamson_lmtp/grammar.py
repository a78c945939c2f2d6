"""The arguments of LMTP's commands: bytes of one line in, values out.

For `connection`, which has found the line and its verb. Pure; the work is linear in the length of
the line. Wrong arguments raise `RemoteProtocolError` with the reply that says what is wrong.

Sources: RFC 5321 section 4.1.2 (syntax), RFC 1870 (SIZE), RFC 6152 (BODY), RFC 6531 (SMTPUTF8),
RFC 3461 section 4 (xtext), Postfix's XFORWARD_README.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from lamson.errors import AddressError
from lamson.smtp import reply
from lamson.smtp.address import NULL_PATH, parse_path
from lamson.smtp.envelope import NOBODY, Peer, QueueId
from lamson.smtp.reply import Reply
from lamson_lmtp.events import MailFrom, RcptTo, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

BAD_SENDER = Reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT = Reply(501, "5.1.3", "Bad recipient address syntax")
BAD_SIZE = Reply(501, "5.5.4", "Bad SIZE: expected a number of octets")
BAD_BODY = Reply(501, "5.5.4", "Bad BODY: expected 7BIT or 8BITMIME")
TWICE = Reply(501, "5.5.4", "A parameter was given twice")
MAIL_SYNTAX = Reply(501, "5.5.4", "Syntax: MAIL FROM:<address>")
RCPT_SYNTAX = Reply(501, "5.5.4", "Syntax: RCPT TO:<address>")
LHLO_SYNTAX = Reply(501, "5.5.4", "Syntax: LHLO hostname")
XFORWARD_SYNTAX = Reply(501, "5.5.4", "Syntax: XFORWARD attribute=value...")
BAD_ATTRIBUTE = Reply(501, "5.5.4", "Unknown XFORWARD attribute")

XFORWARD_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
_ATTRIBUTES = {name.encode("ascii"): name for name in XFORWARD_ATTRIBUTES}

# A path: up to the first > that is not inside a quoted local part. The quantifiers are possessive,
# so a line of quotes and backslashes is looked at once.
_PATH = rb'(<(?>(?:[^"<>\\]|"(?>(?:[^"\\]|\\.)*)")*)>)'
# RFC 5321 section 3.3 allows no space after the colon; it is so common that nobody refuses it.
_MAIL = re.compile(rb"FROM: *+" + _PATH + rb"(?: ++(.*))?", re.IGNORECASE | re.DOTALL)
_RCPT = re.compile(rb"TO: *+" + _PATH + rb"(?: ++(.*))?", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(rb"[^\x00-\x20\x7f]{1,255} *")
_DIGITS = re.compile(rb"[0-9]{1,20}")  # RFC 1870 section 3
_HEX = re.compile(rb"\+([0-9A-Fa-f]{2})")  # xtext: RFC 3461 section 4
_PLAIN_VALUE = re.compile(rb"[!-*,-Z^-~]{1,255}")  # nothing encoded, not [UNAVAILABLE]
_UNSAFE = re.compile(r"[^!-~]")
_MAX_VALUE = 255  # XFORWARD_README


def parse_mail(arguments: bytes, peer: Peer = NOBODY) -> MailFrom:
    """``FROM:<path> [SIZE=n] [BODY=7BIT|8BITMIME] [SMTPUTF8]`` as an event.

    Postfix takes senders that are no addresses: of any length, with blanks or controls in quotes.
    Refused here, such mail would bounce to whom a stranger made up. So from a client that has said
    XFORWARD (``peer``) it is taken as mail from the null sender, to whom nothing is ever sent.
    """
    match = _MAIL.fullmatch(arguments)
    if match is None:
        raise RemoteProtocolError(MAIL_SYNTAX)
    path, parameters = match.groups()
    if parameters:
        size, eight_bit, smtputf8 = _mail_parameters(parameters)
    else:
        size, eight_bit, smtputf8 = 0, False, False
    unusable = b""
    try:
        sender = _parse_path(path, True)
    except RemoteProtocolError:
        if peer is NOBODY:
            raise
        sender, unusable = NULL_PATH, path
    return MailFrom(sender, size, eight_bit, smtputf8, peer, unusable)


@functools.lru_cache(maxsize=1024)  # a busy list is written to over and over
def parse_rcpt(arguments: bytes) -> RcptTo:
    """``TO:<path>`` as an event. No parameter is known: DSN is not offered."""
    match = _RCPT.fullmatch(arguments)
    if match is None:
        raise RemoteProtocolError(RCPT_SYNTAX)
    path, parameters = match.groups()
    if parameters and not parameters.isspace():
        raise RemoteProtocolError(reply.UNKNOWN_PARAMETER)
    return RcptTo(_parse_path(path, False))


def parse_lhlo(arguments: bytes) -> None:
    """``hostname``: any one word, as RFC 5321 section 4.1.4 lets no server refuse mail for it."""
    if not _HOST.fullmatch(arguments):
        raise RemoteProtocolError(LHLO_SYNTAX)


def parse_xforward(arguments: bytes) -> dict[str, str]:
    """``NAME=value ...``: the attributes in upper case, "" where the value is not available.

    What is not printable in a value becomes ``?``, so that no log line can be forged with it.
    """
    words = arguments.split()
    if not words:
        raise RemoteProtocolError(XFORWARD_SYNTAX)
    attributes = {}
    for word in words:
        name, equals, value = word.partition(b"=")
        if not equals:
            raise RemoteProtocolError(XFORWARD_SYNTAX)
        attribute = _ATTRIBUTES.get(name) or _ATTRIBUTES.get(name.upper())
        if attribute is None:
            raise RemoteProtocolError(BAD_ATTRIBUTE)
        attributes[attribute] = _attribute_value(attribute, value)
    return attributes


def make_peer(attributes: Mapping[str, str]) -> Peer:
    """The peer of which one or more XFORWARD commands told these attributes."""
    get = attributes.get
    return Peer(
        name=get("NAME", ""),
        addr=get("ADDR", ""),
        port=get("PORT", ""),
        proto=get("PROTO", ""),
        helo=get("HELO", ""),
        ident=QueueId(get("IDENT", "")),
        source=get("SOURCE", ""),
    )


@functools.lru_cache(maxsize=1024)
def _parse_path(path: bytes, is_sender: bool) -> str:
    try:
        # RFC 6531 section 3.4 wants the parameter SMTPUTF8 with such an address. Postfix takes one
        # without (strict_smtputf8=no) and passes it on so: refused, somebody's mail would bounce.
        return parse_path(path.decode(), smtputf8=True, null=is_sender)
    except (UnicodeDecodeError, AddressError) as error:
        wrong = BAD_SENDER if is_sender else BAD_RECIPIENT
        raise RemoteProtocolError(wrong, counts=False) from error


def _mail_parameters(parameters: bytes) -> tuple[int, bool, bool]:
    size, eight_bit, smtputf8 = 0, False, False
    seen = set()
    for word in parameters.split(b" "):
        if not word:
            continue
        keyword, equals, value = word.upper().partition(b"=")
        if keyword in seen:
            raise RemoteProtocolError(TWICE)
        seen.add(keyword)
        if keyword == b"SIZE":
            if not _DIGITS.fullmatch(value):
                raise RemoteProtocolError(BAD_SIZE)
            size = int(value)
        elif keyword == b"BODY":
            if value not in (b"7BIT", b"8BITMIME"):
                raise RemoteProtocolError(BAD_BODY)
            eight_bit = value == b"8BITMIME"
        elif keyword == b"SMTPUTF8":
            if equals:
                raise RemoteProtocolError(reply.BAD_ARGUMENTS)  # RFC 6531 section 3.4: no value
            smtputf8 = True
        else:
            raise RemoteProtocolError(reply.UNKNOWN_PARAMETER)
    return size, eight_bit, smtputf8


def _attribute_value(attribute: str, value: bytes) -> str:
    """The value, whatever it is: HELO is the stranger's own choice, and IDENT stands in its line.

    Postfix encodes neither ``=`` nor limits the length. What is too long is cut; no IDENT is.
    """
    if _PLAIN_VALUE.fullmatch(value):
        text = value.decode("ascii")
    elif value.upper() in (b"[UNAVAILABLE]", b"[TEMPUNAVAIL]") or (
        len(value) > _MAX_VALUE and attribute == "IDENT"
    ):
        return ""
    else:
        octets = _HEX.sub(lambda match: bytes([int(match[1], 16)]), value)
        text = _UNSAFE.sub("?", octets.decode("utf-8", "replace"))[:_MAX_VALUE]
    if attribute == "ADDR" and text[:5].upper() == "IPV6:":
        return text[5:]
    return text
