"""Messages that were kept in ``run/undeliverable``: what stands on top of them, and the way back.

A kept message says why it is there, and what its handler would need to be run again, in header
fields of ours above its own. Its line ends become those of the system where that loses nothing, so
that mail readers show it well; `read` makes the message again as it was, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.message.defects import Defects
from lamson.message.encoded_words import decode_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lamson.storage.maildir import Maildir

_REASON, _SENDER, _RECIPIENT = "X-Lamson-Reason", "X-Lamson-Sender", "X-Lamson-Recipient"
_ID, _STATE = "X-Lamson-Id", "X-Lamson-State"
_LINE_ENDS = "X-Lamson-Line-Ends"  # the last of ours, always there
BEGIN = f"{_REASON}:".encode()
"""What a kept message begins with."""
_OURS = {name.lower() for name in (_REASON, _SENDER, _RECIPIENT, _ID, _STATE, _LINE_ENDS)}


@dataclass(frozen=True, slots=True)
class Kept:
    """A message, why it was kept, and its envelope.

    ``state`` is where its author stood when the handler failed: the state key's module and the
    state, "" where that does not matter.
    """

    content: bytes
    reason: str
    sender: str
    recipient: str
    id: str
    state: str = ""


def write(queue: Maildir, message: Kept, mark: str = "") -> str:
    """Put a message into ``queue``; gives its key. Raises what `Maildir.push` raises.

    It replaces one that was kept with the same ``mark``.
    """
    headers = {
        _REASON: message.reason,
        _SENDER: message.sender,
        _RECIPIENT: message.recipient,
        _ID: message.id,
    }
    if message.state:
        headers[_STATE] = message.state
    content = message.content
    lines = content.replace(b"\r\n", b"\n")
    headers[_LINE_ENDS] = "as they came"
    if lines.replace(b"\n", b"\r\n") == content and b"\r\n" in content:
        headers[_LINE_ENDS] = "CRLF"
        content = lines
    return queue.push(content, headers, mark=mark)


def read(stored: bytes) -> Kept:
    """Take a kept message apart. Fields that are missing are ""."""
    raw: dict[str, bytes] = {}
    name = ""
    while stored:
        line, _, rest = stored.partition(b"\n")
        label, colon, value = line.partition(b":")
        if name and line[:1] in (b" ", b"\t"):
            raw[name] += line.rstrip(b"\r")
        elif colon and _may_follow(_name(label), raw):
            name = _name(label)
            raw[name] = value.rstrip(b"\r")
        else:
            break
        stored = rest
    fields = {name: _text(value, name) for name, value in raw.items()}
    if fields.get(_LINE_ENDS.lower()) == "CRLF":
        stored = stored.replace(b"\n", b"\r\n")
    return Kept(
        stored,
        reason=fields.get(_REASON.lower(), ""),
        sender=fields.get(_SENDER.lower(), ""),
        recipient=fields.get(_RECIPIENT.lower(), ""),
        id=fields.get(_ID.lower(), ""),
        state=fields.get(_STATE.lower(), ""),
    )


def _may_follow(name: str, fields: Mapping[str, bytes]) -> bool:
    """Whether a field is ours: the message may begin with some that only look like it."""
    return name in _OURS and name not in fields and _LINE_ENDS.lower() not in fields


def _name(label: bytes) -> str:
    return label.strip().decode("utf-8", "replace").lower()


def _text(value: bytes, name: str) -> str:
    """The value as `write` was given it: what could not stand in a field is in encoded words."""
    return decode_words(value.strip(), Defects(), name)
