"""Signed tokens: texts in addresses that only the application can have made, and not for ever.

For captures declared as `Signed`, and for the addresses that Lamson itself makes (bounces,
replies). A token says a payload, for what purpose it was made and until when it counts, and carries
an HMAC of all that. It needs no place where it is kept, survives a change of case on its way, and
stands in a local part (64 octets, RFC 5321 section 4.5.3.1.1). What was forged, has expired or was
made for another purpose is no token at all: whoever tries one is told what he is told of any
unknown address.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATTERN = "[a-z2-7]{21,64}"
"""What tokens look like, for a regular expression that ignores case."""

OURS = "lamson "
"""With what our own purposes begin, so that no token of an application is one of ours."""

MAX_PAYLOAD = 24  # octets: a token of 60 characters
DEFAULT_DAYS = 30.0
_HOUR = 3600
_TIME = 3  # octets: hours since 1970
_NONCE = 3  # octets, of a token that counts once: the same payload may be signed again
_MAC = 10  # octets, 80 bits

# The letters of base32 (RFC 4648 section 6) as digits to the base of 32; all else is none.
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567"
_DIGITS = bytes(
    (b"0123456789abcdefghijklmnopqrstuv!")[_LETTERS.find(bytes([octet]).lower())]
    for octet in range(256)
)


@dataclass(frozen=True, slots=True)
class Signed:
    """The pattern of a capture that matches only what `Delivery.sign` made.

    ``purpose`` tells it from other tokens, ``days`` is for how long it counts, at the least. With
    ``once`` it is redeemed in the transaction of the handler that gets it: the next mail to that
    address is refused. Raises ValueError for what cannot be.
    """

    purpose: str
    days: float = DEFAULT_DAYS
    once: bool = False
    _signed_for: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.purpose:
            raise ValueError("a signed capture needs a purpose, such as 'subscribe'")
        if not 0 < self.days <= 36525:
            raise ValueError(f"days={self.days!r}: expected more than 0, and a century at most")
        # Of whether it counts once as well: that says how it is read.
        kind = b"once" if self.once else b"signed"
        object.__setattr__(self, "_signed_for", b"%s\0%s\0" % (kind, self.purpose.encode()))


class Token(NamedTuple):
    """What a token says. ``expires`` is in seconds, ``octets`` are what its letters say."""

    payload: str
    expires: int
    octets: bytes

    @property
    def digest(self) -> bytes:
        """It names the token, however it is spelt."""
        return hashlib.blake2b(self.octets, digest_size=16, person=b"lamson token").digest()


class Signer:
    """Makes and verifies tokens. For all threads at once.

    ``keys`` gives the keys of the project, newest first: that one signs, all of them verify, and
    none means that nothing is signed. It is asked when a token is made, or an address looks as if
    it had one.
    """

    def __init__(
        self, keys: Callable[[], Sequence[bytes]], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._clock = clock

    def sign(self, signed: Signed, payload: str) -> str:
        """A token, of lower-case letters and digits. Raises ValueError for a payload that is too
        long, and where there is no key."""
        text = payload.encode()
        if len(text) > MAX_PAYLOAD:
            raise ValueError(
                f"the payload {payload!r} has {len(text)} octets, a token takes {MAX_PAYLOAD}:"
                " sign the id of a row"
            )
        keys = self._keys()
        if not keys:
            raise ValueError(
                "the project has no key to sign with: the first start of its service makes one,"
                " unless the setting signing.secret has it"
            )
        expires = -int(-(self._clock() + signed.days * 86400) // _HOUR)
        nonce = secrets.token_bytes(_NONCE) if signed.once else b""
        said = expires.to_bytes(_TIME) + nonce + text
        octets = said + _mac(keys[0], signed, said)
        return base64.b32encode(octets).decode().rstrip("=").lower()

    def read(self, signed: Signed, token: str) -> Token | None:
        """What ``token`` says; None for anything that is none, or counts no more."""
        octets = _octets(token)
        if octets is None:
            return None
        said, mac = octets[:-_MAC], octets[-_MAC:]
        least = _TIME + (_NONCE if signed.once else 0)
        if len(said) < least:
            return None
        is_ours = False
        for key in self._keys():  # all of them: how long it takes tells nothing
            is_ours |= hmac.compare_digest(_mac(key, signed, said), mac)
        expires = int.from_bytes(said[:_TIME]) * _HOUR
        if not is_ours or self._clock() >= expires:
            return None
        return Token(said[least:].decode(), expires, octets)


def _mac(key: bytes, signed: Signed, said: bytes) -> bytes:
    """Of the purpose as well."""
    return hmac.digest(key, signed._signed_for + said, "sha256")[:_MAC]


def _octets(token: str) -> bytes | None:
    """Those that the letters stand for; None where they are no token, or an odd spelling of one."""
    if len(token) > 64 or not token.isascii():
        return None
    length, over = divmod(len(token) * 5, 8)
    if length < _TIME + _MAC or over >= 5:  # a letter that says nothing
        return None
    try:  # a third of the time that base64.b32decode() takes
        number = int(token.encode().translate(_DIGITS), 32)
    except ValueError:
        return None
    if number & ((1 << over) - 1):  # bits that nobody sets
        return None
    return (number >> over).to_bytes(length)
