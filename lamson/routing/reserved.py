"""Reserved addresses, ``lamson-probe+TOKEN@host``: those that Lamson itself answers.

`lamson postfix check -deliver` sends a message to one, so that it can be followed all the way. The
token is signed with a key of the project and expires within minutes: only the doctor makes one, and
only for its next message. Any other address with that name is what it would be without: routed, if
the application takes it, and else unknown (550), so that nobody can have Lamson answer or keep
anything by it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from lamson.smtp import folding

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "lamson-probe+"
LIFETIME = 900  # seconds: longer than anybody waits for a probe
_NAME = 10  # characters of a name, 50 bits
_TIME = 8  # hexadecimal digits
_MAC = 16  # characters, 80 bits


class Way(Enum):
    """On which leg of its way a probe is sent to the address."""

    IN = "i"  # from the doctor to us: it is answered
    OUT = "o"  # the answer, as submission has brought it back
    BOUNCE = "b"  # what Postfix has to say of the answer


class Token(NamedTuple):
    """What a reserved address says. ``name`` is the probe's, on all legs of its way."""

    way: Way
    name: str
    expires: int


class Reserved:
    """Makes and knows them. ``key`` gives the key of the project when it is first needed; None
    where there is none, and no address is reserved then."""

    def __init__(
        self, key: Callable[[], bytes | None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._key = key
        self._clock = clock

    def token(self, way: Way) -> Token:
        """One for a new probe."""
        name = base64.b32encode(secrets.token_bytes(7)).decode().lower()[:_NAME]
        return Token(way, name, int(self._clock()) + LIFETIME)

    def address(self, token: Token, domain: str) -> str:
        """Its address. Raises ValueError where the project has no key."""
        mac = self._mac(token, domain)
        if mac is None:
            raise ValueError("the project has no key to sign an address with")
        return f"{PREFIX}{_text(token)}{mac}@{domain}"

    def read(self, address: str) -> Token | None:
        """The token of a reserved address; None for any other."""
        if not is_like_one(address):
            return None
        local, _, domain = address.lower().rpartition("@")
        text, mac = local[len(PREFIX) : -_MAC], local[-_MAC:]
        if len(text) != 1 + _NAME + _TIME or not text.isascii() or not mac.isascii():
            return None
        try:
            token = Token(Way(text[0]), text[1:-_TIME], int(text[-_TIME:], 16))
        except ValueError:
            return None
        if not 0 < token.expires - self._clock() <= LIFETIME:
            return None
        expected = self._mac(token, domain)
        is_ours = expected is not None and hmac.compare_digest(expected, mac)
        return token if is_ours and _text(token) == text else None

    def takes(self, address: str) -> bool:
        """It is one. Costs next to nothing for an address that is not like one."""
        return self.read(address) is not None

    def _mac(self, token: Token, domain: str) -> str | None:
        key = self._key()
        if key is None:
            return None
        text = f"{_text(token)}@{folding.fold_domain(domain)}".encode("utf-8", "surrogatepass")
        digest = hmac.new(key, text, hashlib.sha256).digest()
        return base64.b32encode(digest).decode().lower()[:_MAC]


def is_like_one(address: str) -> bool:
    """It begins as they do."""
    return address[: len(PREFIX)].lower() == PREFIX


def _text(token: Token) -> str:
    return f"{token.way.value}{token.name}{token.expires:0{_TIME}x}"
