"""What filters return and record: verdicts on a message, and edits of it.

For whoever writes filters, and for `transaction`, which makes one decision of many verdicts. All
are values. A text that would break out of a reply or a header field, or an address that is none,
raises ValueError (AddressError) where it is written down, in the filter's own line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from lamson.message.compose import check_field, is_plain
from lamson.smtp import address
from lamson.smtp.reply import Reply
from lamson_milter.field import field_value

_PARAMETERS = re.compile(r"[!-~]+(?: [!-~]+)*")
MAX_LINES = 32  # of a reply: libmilter's limit
MAX_FIELD = 65_000  # octets of a field as it is told to Postfix: libmilter's limit is 65,535
MAX_REASON = 400  # characters of a quarantine's, which Postfix logs
_SURELY_FITS = 4000  # characters of a value: encoded, each takes 16 octets at most


@dataclass(frozen=True, slots=True)
class Accept:
    """No further filter is asked; what was recorded so far stays."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse for good: ``Reject("5.7.1", "members only")``.

    The text is public and may have several lines, 32 at most. Raises ValueError where code (RFC
    5321 section 4.2) and enhanced status (RFC 3463) are not both 5xx, or where the text has control
    characters.
    """

    enhanced: str = "5.7.1"
    text: str = "Message refused"
    code: int = 550

    def __post_init__(self) -> None:
        _check_reply(self.reply, 5)

    @property
    def reply(self) -> Reply:
        """What the client is told."""
        return Reply(self.code, self.enhanced, self.text)


@dataclass(frozen=True, slots=True)
class Defer:
    """Refuse for now, the client tries again: ``Defer("4.7.1", "greylisted, try again")``.

    The text is as that of a Reject. Raises ValueError where code and enhanced status are not both
    4xx.
    """

    enhanced: str = "4.7.1"
    text: str = "Try again later"
    code: int = 451

    def __post_init__(self) -> None:
        _check_reply(self.reply, 4)

    @property
    def reply(self) -> Reply:
        """What the client is told."""
        return Reply(self.code, self.enhanced, self.text)


@dataclass(frozen=True, slots=True)
class Discard:
    """Tell the client that all is well (250), and throw the message away: nobody hears of it."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Queue the message, but put it on hold (Postfix's hold queue). Further filters are asked.

    ``reason`` stands in Postfix's log; ``postsuper -H`` releases the message. Raises ValueError
    where the reason is not one line of text of at most 400 characters.
    """

    reason: str

    def __post_init__(self) -> None:
        if not self.reason or not self.reason.isprintable() or len(self.reason) > MAX_REASON:
            raise ValueError(f"a reason is one line of text, not {self.reason[:MAX_REASON]!r}")


Decision: TypeAlias = Accept | Reject | Defer | Discard | Quarantine
Verdict: TypeAlias = Decision | type[Accept] | type[Reject] | type[Defer] | type[Discard] | None
"""What a filter returns: ``return Discard`` is ``return Discard()``, None is: go on."""


def decision(returned: object) -> Decision | None:
    """What a filter returned, as a value. Raises TypeError for anything but a Verdict."""
    if returned is None or isinstance(returned, Accept | Reject | Defer | Discard | Quarantine):
        return returned
    for kind in (Accept, Reject, Defer, Discard):
        if returned is kind:
            return kind()
    raise TypeError(f"a filter returns a verdict or None, not {returned!r}")


@dataclass(frozen=True, slots=True)
class AddHeader:
    """A field below the others, or above the ``position``-th of them where that is given."""

    name: str
    value: str
    position: int | None = None

    def __post_init__(self) -> None:
        _check_field(self.name, self.value)
        if self.position is not None and self.position < 0:
            raise ValueError(f"a position is 0 (at the top) or more, not {self.position}")


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """Another value for the ``index``-th field ``name`` as it arrived; None takes it away."""

    name: str
    value: str | None
    index: int = 1

    def __post_init__(self) -> None:
        _check_field(self.name, self.value or "")
        if self.index < 1:
            raise ValueError(f"fields of a name are counted from 1, from the top; not {self.index}")


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    """Another body; lines end in CRLF."""

    body: bytes


@dataclass(frozen=True, slots=True)
class AddRecipient:
    """One more envelope recipient; ``parameters`` are of ESMTP, such as ``NOTIFY=NEVER``."""

    address: str
    parameters: str = ""

    def __post_init__(self) -> None:
        address.parse_mailbox(self.address, smtputf8=True)
        _check_parameters(self.parameters)


@dataclass(frozen=True, slots=True)
class RemoveRecipient:
    """One envelope recipient less."""

    address: str

    def __post_init__(self) -> None:
        if not self.address:
            raise ValueError("a sender's filter is asked about no recipient: say which")


@dataclass(frozen=True, slots=True)
class ChangeSender:
    """Another envelope sender; "" is the null reverse-path."""

    address: str
    parameters: str = ""

    def __post_init__(self) -> None:
        if self.address != address.NULL_PATH:
            address.parse_mailbox(self.address, smtputf8=True)
        _check_parameters(self.parameters)


Edit: TypeAlias = (
    AddHeader | ChangeHeader | ReplaceBody | AddRecipient | RemoveRecipient | ChangeSender
)


def _check_field(name: str, value: str) -> None:
    check_field(name, value)
    if len(value) <= _SURELY_FITS and is_plain(value):
        return
    if len(name) + len(field_value(name, value)) > MAX_FIELD:
        raise ValueError(f"field {name}: its value passes {MAX_FIELD} octets, encoded and folded")


def _check_reply(reply: Reply, klass: int) -> None:
    if reply.code // 100 != klass or not reply.enhanced:
        raise ValueError(f"expected a code {klass}xx and a status {klass}.x.x, not {reply}")
    lines = reply.text.split("\n")
    if len(lines) > MAX_LINES or not all(line.isprintable() and line for line in lines):
        raise ValueError(f"a reply has up to {MAX_LINES} lines of text, not {reply.text!r}")


def _check_parameters(parameters: str) -> None:
    if parameters and not _PARAMETERS.fullmatch(parameters):
        raise ValueError(f"not ESMTP parameters, such as NOTIFY=NEVER: {parameters!r}")
