"""What pymilter gives each callback: answers and edits are told to it.

For `callbacks`.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Protocol

import milter

from lamson_milter.actions import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    RemoveRecipient,
    ReplaceBody,
)
from lamson_milter.field import field_value

if TYPE_CHECKING:
    from lamson.smtp.reply import Reply
    from lamson_milter.actions import Edit
    from lamson_milter.libmilter.session import Session

_MAX_REPLY_LINE = 480  # octets; libmilter's limit is 980, and RFC 5321's 512 with code and status


class Context(Protocol):
    """A session of libmilter's, as far as it is used here."""

    def setpriv(self, value: object) -> object: ...
    def getpriv(self) -> Session: ...
    def getsymval(self, name: str) -> str | None: ...
    def setsymlist(self, stage: int, macros: str) -> None: ...
    def setreply(self, code: str, enhanced: str | None, *lines: str) -> None: ...
    def addheader(self, name: str, value: str, position: int = -1) -> None: ...
    def chgheader(self, name: str, index: int, value: str | None) -> None: ...
    def replacebody(self, body: bytes) -> None: ...
    def addrcpt(self, path: str, parameters: str | None = None) -> None: ...
    def delrcpt(self, path: str) -> None: ...
    def chgfrom(self, path: str, parameters: str | None = None) -> None: ...
    def quarantine(self, reason: str) -> None: ...


def answer(ctx: Context, refusal: Reply | None, *, has_utf8: bool = False) -> int:
    """What a callback returns, so that the client is told ``refusal``, or to go on.

    A client that did not declare SMTPUTF8 is told ASCII (RFC 6531 section 3.7.4).
    """
    if refusal is None:
        return int(milter.CONTINUE)
    text = refusal.text if has_utf8 else in_ascii(refusal.text)
    # Postfix takes %% for %, as Sendmail does; libmilter refuses a line that is too long.
    lines = [_cut(line).replace("%", "%%") for line in text.split("\n")]
    ctx.setreply(str(refusal.code), refusal.enhanced, *lines)
    return int(milter.REJECT if refusal.is_permanent else milter.TEMPFAIL)


def apply(ctx: Context, session: Session, edit: Edit) -> None:
    """Tell Postfix of an edit, at the end of the message."""
    match edit:
        case AddHeader():
            value = _value(session, edit.name, edit.value)
            ctx.addheader(edit.name, value, -1 if edit.position is None else edit.position)
        case ChangeHeader():
            # An empty value takes the field away: one that is to be empty is a space.
            gone = edit.value is None
            changed = "" if gone else _value(session, edit.name, edit.value or "") or " "
            ctx.chgheader(edit.name, edit.index, changed)
        case ReplaceBody():
            ctx.replacebody(edit.body)
        case AddRecipient():
            ctx.addrcpt(f"<{edit.address}>", edit.parameters or None)
        case RemoveRecipient():
            assert session.transaction is not None
            for path in session.transaction.paths(edit.address):
                ctx.delrcpt(path)
        case _:
            ctx.chgfrom(f"<{edit.address}>", edit.parameters or None)


def _value(session: Session, name: str, value: str) -> str:
    text = field_value(name, value)
    return text if session.has_leading_space else text[1:]


def in_ascii(text: str) -> str:
    r"""The text without accents; what has no ASCII form as ``\x{416}`` (RFC 6533 section 3)."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join([one for one in decomposed if not unicodedata.combining(one)])
    return "".join([one if one.isascii() else f"\\x{{{ord(one):X}}}" for one in bare])


def _cut(line: str) -> str:
    """As much of a line of a reply as libmilter takes, each % of it doubled."""
    return line.encode()[:_MAX_REPLY_LINE].decode("utf-8", "ignore")
