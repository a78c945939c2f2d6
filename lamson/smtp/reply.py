"""SMTP and LMTP replies: a code, an enhanced status, a text.

Every answer that leaves this project is one of these values, so that a reader finds each code by
name and a wrong one (a 4.x.x status behind a 5xx code) cannot be written down.

Sources: RFC 5321 section 4.2 (reply codes), RFC 2034 (the status stands at the start of the text
of every line), RFC 3463 (the statuses), RFC 2033 section 4.2 (LMTP's replies after the data).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lamson.errors import LamsonError

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e]")
_MAX_TEXT = 480  # RFC 5321 section 4.5.3.1.5: 512 octets, with code, status and CRLF


@dataclass(frozen=True, slots=True)
class EnhancedStatus:
    """A status code ``class.subject.detail`` (RFC 3463 section 2)."""

    klass: int
    subject: int
    detail: int

    @classmethod
    def parse(cls, text: str) -> EnhancedStatus:
        """Read ``"5.1.1"``. Raises ValueError where it is not of that form."""
        if not _STATUS.fullmatch(text):
            raise ValueError(f"not an enhanced status code such as 5.1.1: {text!r}")
        return cls(*map(int, text.split(".")))

    def __str__(self) -> str:
        return f"{self.klass}.{self.subject}.{self.detail}"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, which may have several lines (``\\n`` in ``text`` separates them).

    ``code`` is the three-digit reply code; ``enhanced`` a status such as ``"5.1.1"`` of the same
    class, or "" where RFC 2034 wants none (LHLO, 354, the greeting). ``text`` is shown to people
    anywhere in the world: nothing private belongs in it. Raises ValueError when code and status
    contradict each other.
    """

    code: int
    enhanced: str
    text: str
    wire: bytes = field(init=False, repr=False, compare=False)
    """The reply as it is sent, CRLF included."""
    line: str = field(init=False, repr=False, compare=False)
    """The reply as people read it."""

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            raise ValueError(f"not a reply code: {self.code}")
        if self.enhanced and EnhancedStatus.parse(self.enhanced).klass != self.code // 100:
            raise ValueError(f"status {self.enhanced} does not belong to code {self.code}")
        # Most replies are constants that are sent for ever: made once, here.
        object.__setattr__(self, "wire", self._encoded())
        line = " ".join(filter(None, (str(self.code), self.enhanced, self.text)))
        object.__setattr__(self, "line", line)

    @property
    def is_positive(self) -> bool:
        return self.code < 400

    @property
    def is_transient(self) -> bool:
        """True where the client should try again later (4xx)."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        return self.code >= 500

    def __bytes__(self) -> bytes:
        return self.wire

    def _encoded(self) -> bytes:
        status = f"{self.enhanced} " if self.enhanced else ""
        lines = [status + _UNPRINTABLE.sub("?", line)[:_MAX_TEXT] for line in self.text.split("\n")]
        last = len(lines) - 1
        return "".join(
            f"{self.code}{'-' if number < last else ' '}{line}\r\n"
            for number, line in enumerate(lines)
        ).encode("ascii")

    def __str__(self) -> str:
        return self.line


class SMTPError(LamsonError):
    """A handler's verdict on one delivery: its transaction is rolled back, this reply is given.

    ``SMTPError(550, "5.7.1", "members only")``: the text is public, Postfix puts it into the
    bounce that it sends to the envelope sender. That sender may be forged, so a refusal is better
    made while the stranger's server is still connected. A 4xx code leaves the message in Postfix's
    queue. Raises ValueError where code and enhanced status contradict each other or the code is
    not 4xx or 5xx. The private cause goes after ``from``: it is logged, never sent.
    """

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        if not 400 <= code <= 599:
            raise ValueError(f"an SMTPError has a 4xx or 5xx code, not {code}")
        self.reply = Reply(code, enhanced, text)
        super().__init__(str(self.reply))


OK = Reply(250, "2.0.0", "Ok")
SENDER_OK = Reply(250, "2.1.0", "Ok")
RECIPIENT_OK = Reply(250, "2.1.5", "Ok")
BYE = Reply(221, "2.0.0", "Bye")
START_DATA = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
CANNOT_VERIFY = Reply(252, "2.1.5", "Cannot verify; send some mail and see")

LOCAL_ERROR = Reply(451, "4.3.0", "Local error in processing; try again later")
BUSY = Reply(451, "4.3.2", "This message is being handled already; try again later")
NO_STORAGE = Reply(452, "4.3.1", "Insufficient system storage; try again later")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients; send the rest separately")
TOO_MANY_CONNECTIONS = Reply(421, "4.3.2", "Too many connections; try again later")
SHUTTING_DOWN = Reply(421, "4.3.2", "Service shutting down; try again later")
IDLE_TOO_LONG = Reply(421, "4.4.2", "Idle too long; closing the connection")
TOOK_TOO_LONG = Reply(421, "4.4.2", "The transaction took too long; closing the connection")

SYNTAX_ERROR = Reply(500, "5.5.2", "Syntax error")
LINE_TOO_LONG = Reply(500, "5.5.2", "Line too long")
BARE_LINE_END = Reply(500, "5.5.2", "Lines end with CRLF")
UNKNOWN_COMMAND = Reply(500, "5.5.1", "Unknown command")
BAD_ARGUMENTS = Reply(501, "5.5.4", "Syntax error in arguments")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Command not implemented")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "Parameter not recognised")
NO_SUCH_RECIPIENT = Reply(550, "5.1.1", "No route for this recipient")
UNPROVEN = Reply(
    550,
    "5.7.1",
    "This address takes mail only where DMARC or DKIM proves its author; yours is not proven",
)
TOO_BIG = Reply(552, "5.3.4", "Message too big")
LOOP_DETECTED = Reply(554, "5.4.6", "Mail loop detected")
