"""Notes: what the application's filters found out about a mail, on its way to the handlers.

The milter writes them as signed header fields, `MailRequest.notes` reads them back. Only who has
the secret can write such a field, and it counts for one entry of Postfix's queue and until it
expires: a stranger can neither make one nor use one that he has seen. Whatever does not verify is
no note. Notes are signed, not hidden: whoever receives the message elsewhere could read them, so a
recipient is named by a digest, and forwarding takes the fields off.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from lamson.errors import SettingsError
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

HEADER = "X-Lamson-Notes"
LIFETIME = 30 * 86400  # seconds; Postfix gives a message up after five days
MAX_NOTES = 2048  # octets of JSON that one filter may note
MAX_FIELD = 64 * 1024  # octets of the whole field; what is longer is not looked at
_MAX_SIGNED = 60_000  # octets of a field that we write: folded, libmilter still takes it (65,535)
_MAX_TOLD = 44_000  # octets of JSON in one field; signed, they fit
_MAX_FIELDS = 8  # that we write; together they stay below what is looked at
_KEY_FILE = "notes.key"
_MAX_HEADER = 1 << 20  # octets of a header that are looked at, as in lamson.header
_MAY_HAVE_NOTES = re.compile(rb"(?i)^x-lamson-notes[ \t]*:", re.MULTILINE)
_FIELDS = re.compile(rb"(?im)^x-lamson-notes[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")
_HEADER_END = re.compile(rb"\n\r?\n")
_VERSION = "1"

Note: TypeAlias = "str | int | float | bool | list[Note] | dict[str, Note] | None"


class Notary:
    """Signs and verifies notes, and marks what is forwarded, with one secret, which all processes
    and nodes share."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def of(cls, run_dir: Path, secret: str | None) -> Notary:
        """With the secret of the settings, else with one that is made once, in ``run_dir``."""
        return cls(secret.encode() if secret else _own_secret(run_dir / _KEY_FILE))

    @staticmethod
    def known(run_dir: Path, secret: str | None) -> Notary | None:
        """The one whose secret is there; None where none has been made yet.

        Raises OSError, such as PermissionError, and SettingsError.
        """
        if secret is None and not (run_dir / _KEY_FILE).exists():
            return None
        return Notary.of(run_dir, secret)

    def key(self, purpose: str) -> bytes:
        """A key for something else, which tells nothing of the secret."""
        return bytes.fromhex(self._digest("key", purpose))

    def mark(self, recipient: str) -> str:
        """What a message that was forwarded from this address is known by when it comes back.

        ``recipient`` is in the form in which addresses are compared.
        """
        return self._digest("forwarded", recipient)[:32]

    def sign(
        self,
        queue_id: str,
        common: Mapping[str, Note],
        own: Mapping[str, Mapping[str, Note]],
        now: float,
    ) -> list[str]:
        """The fields' values: ``common`` notes for all recipients, ``own`` ones by address.

        Most often that is one; with many recipients it may take several. Raises ValueError where
        they would be too many, or one too long.
        """
        told: dict[str, Mapping[str, Note]] = {"": common} if common else {}
        for recipient, notes in own.items():
            if notes:
                told[self._digest("to", queue_id, address.normalise(recipient))[:16]] = notes
        expiry = str(int(now + LIFETIME))
        values = [self._signed(queue_id, expiry, text) for text in _texts(told)]
        if len(values) > _MAX_FIELDS:
            raise ValueError(f"the notes on one message pass {_MAX_FIELDS} fields")
        return values

    def _signed(self, queue_id: str, expiry: str, text: str) -> str:
        payload = base64.urlsafe_b64encode(text.encode()).decode("ascii")
        mac = self._digest("notes", queue_id, expiry, payload)
        pieces = [payload[at : at + 70] for at in range(0, len(payload), 70)]
        value = " ".join((_VERSION, expiry, mac, *pieces))
        if len(value) > _MAX_SIGNED:
            raise ValueError(f"the notes on one recipient pass {_MAX_SIGNED} octets")
        return value

    def read(
        self, values: Iterable[str], queue_id: str, recipient: str, now: float
    ) -> dict[str, Note]:
        """The notes for a recipient of that queue entry; {} without a valid field."""
        common: dict[str, Note] = {}
        own: dict[str, Note] = {}
        if queue_id:
            key = self._digest("to", queue_id, address.normalise(recipient))[:16]
            for value in values:
                told = self._verified(value, queue_id, now) or {}
                common.update(told.get("", {}))
                own.update(told.get(key, {}))
        return common | own

    def _verified(self, value: str, queue_id: str, now: float) -> dict[str, dict[str, Note]] | None:
        words = value.split() if len(value) <= MAX_FIELD and value.isascii() else []
        if len(words) < 4 or words[0] != _VERSION:
            return None
        expiry, mac, payload = words[1], words[2], "".join(words[3:])
        expected = self._digest("notes", queue_id, expiry, payload)
        if not hmac.compare_digest(expected, mac) or now > int(expiry):
            return None
        told: dict[str, dict[str, Note]] = json.loads(base64.urlsafe_b64decode(payload))
        return told

    def _digest(self, *parts: str) -> str:
        text = "\0".join(parts).encode("utf-8", "surrogateescape")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()


def _texts(told: Mapping[str, Mapping[str, Note]]) -> list[str]:
    """What is told, as few JSON objects of a size that can be signed; one longer stands alone."""
    texts: list[str] = []
    pieces: list[str] = []
    size = 0
    for key, notes in told.items():
        piece = f'"{key}":{json.dumps(notes, allow_nan=False, separators=(",", ":"))}'
        if pieces and size + len(piece) > _MAX_TOLD:
            texts.append(f"{{{','.join(pieces)}}}")
            pieces, size = [], 0
        pieces.append(piece)
        size += len(piece) + 1
    return [*texts, f"{{{','.join(pieces)}}}"]


def without_notes(content: bytes) -> bytes:
    """A message without the fields that hold notes; the same object where it has none."""
    if not _MAY_HAVE_NOTES.search(content, 0, _MAX_HEADER):
        return content
    body = _HEADER_END.search(content)
    end = body.start() + 1 if body else len(content)
    return _FIELDS.sub(b"", content[:end]) + content[end:]


def _own_secret(path: Path) -> bytes:
    """The secret in the file, which is made where there is none yet.

    Raises OSError, and SettingsError for an empty file: anybody could sign with no secret.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        made = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        # Whichever process comes first has the say; a file is never seen half written.
        with suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    secret = path.read_bytes()
    if not secret.strip():
        raise SettingsError(f"{path}: there is no secret in it; remove it, and one is made")
    return secret
