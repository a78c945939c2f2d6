"""The letters that the doctor follows on their way through Postfix, and what arrived of them.

A letter has what is changed on the way most often: addresses in its header, a line longer than
SMTP's 998 octets, octets beyond ASCII, a line that is one dot, and one that begins with From. What
arrived is compared with what was sent: fields that were added do not count, those of the letter and
its body do.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FIELDS = ("From", "To", "Subject", "Message-ID", "Date", "Content-Transfer-Encoding")
MAX_HEADER = 64 * 1024  # octets that are looked at
MAX_BODY = 16 * 1024  # octets that are kept
_DATE = "Thu, 01 Jan 2026 00:00:00 +0000"  # the same for all, so that both ends know it
_LONG = 1200
_BODY = (
    "Grüße: octets beyond ASCII, as they are.\n"
    "From the begin of a line\n"
    ".\n"
    ".. and dots\n"
    f"{'long' * (_LONG // 4)}\n"
    "The end.\n"
).encode()


@dataclass(frozen=True, slots=True)
class Caught:
    """A letter as it arrived, or as it was sent: envelope, fields by name, body."""

    sender: str
    recipient: str
    fields: dict[str, str]
    body: str

    def to_text(self) -> str:
        """For a database."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Caught:
        return cls(**json.loads(text))

    @classmethod
    def of(cls, sender: str, recipient: str, raw: bytes) -> Caught:
        """Of a message. What is beyond the limits is left out."""
        head, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
        found: dict[str, str] = {}
        for field in re.split(rb"\n(?![ \t])", head[:MAX_HEADER]):
            name, colon, value = field.partition(b":")
            key = name.decode("latin-1").strip().lower()
            if colon and key in _WANTED:
                shown = re.sub(rb"\n[ \t]+", b" ", value).strip().decode("utf-8", "replace")
                found.setdefault(_WANTED[key], shown)
        return cls(sender, recipient, found, body[:MAX_BODY].decode("utf-8", "surrogateescape"))

    def differences(self, arrived: Caught) -> Iterator[Difference]:
        """What is otherwise in what arrived of this letter."""
        for name, sent, got in (
            ("envelope sender", self.sender, arrived.sender),
            ("envelope recipient", self.recipient, arrived.recipient),
        ):
            if sent.lower() != got.lower():
                yield Difference(name, sent or "<>", got or "<>")
        for name, sent in self.fields.items():
            got = arrived.fields.get(name, "")
            if got != sent:
                yield Difference(name, sent, got or "nothing")
        if self.body != arrived.body:
            yield _in_body(self.body, arrived.body)


@dataclass(frozen=True, slots=True)
class Difference:
    """``what`` was ``sent``, and ``arrived`` as something else."""

    what: str
    sent: str
    arrived: str


LONG_LINE, OCTETS, BODY = "a long line", "octets beyond ASCII", "the body"
_WANTED = {name.lower(): name for name in FIELDS}


def letter(name: str, sender: str, to: str) -> bytes:
    """The letter of the probe ``name``, with From ``sender``."""
    domain = sender.rpartition("@")[2]
    head = "".join(
        [
            f"From: Lamson probe <{sender}>\n",
            f"To: <{to}>\n",
            f"Subject: Lamson probe {name}\n",
            f"Message-ID: {message_id(name, domain)}\n",
            f"Date: {_DATE}\n",
            "Auto-Submitted: auto-generated\n",
            "MIME-Version: 1.0\n",
            "Content-Type: text/plain; charset=utf-8\n",
            "Content-Transfer-Encoding: 8bit\n",
        ]
    )
    return head.encode() + b"\n" + _BODY


def message_id(name: str, domain: str) -> str:
    return f"<lamson-probe.{name}@{domain}>"


def _in_body(sent: str, arrived: str) -> Difference:
    """The first line that is otherwise."""
    before, after = sent.splitlines(), arrived.splitlines()
    for number, line in enumerate(before):
        got = after[number] if number < len(after) else ""
        if got != line:
            what = LONG_LINE if len(line) > _LONG // 2 and line.startswith(got[:900]) else BODY
            what = OCTETS if not line.isascii() else what
            return Difference(what, _short(line), _short(got))
    return Difference(BODY, "its end", _short(" ".join(after[len(before) :])))


def _short(line: str) -> str:
    shown = line.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= 60 else f"{shown[:40]}... ({len(line)} characters)"
