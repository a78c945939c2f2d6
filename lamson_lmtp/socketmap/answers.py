"""Postfix's questions about addresses, answered from the routes. No I/O.

For the socketmap's server. Postfix asks one of three maps:

``recipient``
    is there a route for this address? For ``relay_recipient_maps`` and the like, so that smtpd
    refuses an unknown recipient while the stranger is still connected.
``transport``
    where does this address, or this domain, go? Our next hop for all that is in our domains: what
    is not routed there is then refused by us, not sent to the world.
``domain``
    is this domain ours? For ``relay_domains``.

Postfix asks for whole addresses only, never for ``@domain`` or without the extension (see
socketmap_table(5)). What cannot be an address is not found. A question for a map that does not
exist is answered PERM, a failure of ours TEMP: Postfix then defers, it never refuses.

Answers are remembered, some thousands of them, except those that may be others later: of failures,
and of addresses with a token, which ends (`lamson.routing.router.Momentary`). The routes change
with a new process only.

Source: socketmap_table(5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lamson import log, metrics
from lamson.errors import AddressError
from lamson.routing.router import Momentary
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 100_000  # octets of a request, as Postfix limits our replies

NOT_FOUND = b"NOTFOUND "
BAD_REQUEST = b"PERM expected: the name of a map, a space, a key"
FAILED = b"TEMP the lookup failed; the log of lamson says why"


_REMEMBERED = 4096  # answers
_REMEMBERED_LONGEST = 512  # octets of a request: more is no address, or nobody's


class _Answer(NamedTuple):
    """A reply, and whether it will be the same the next time."""

    reply: bytes
    lasts: bool


class _Known(NamedTuple):
    """A reply, and what is counted for it."""

    reply: bytes
    map: str
    answer: str


class Socketmap:
    """Answers requests. ``routes`` tells of an address what routes it, a `Momentary` where that may
    change, ``holds`` of a domain whether it is ours; ``next_hop`` is ``lmtp:inet:[host]:port`` or
    ``lmtp:unix:path``."""

    def __init__(
        self,
        routes: Callable[[str], object],
        holds: Callable[[str], bool],
        next_hop: str,
    ) -> None:
        self._routes = routes
        self._holds = holds
        self._next_hop = b"OK " + next_hop.encode()
        self._maps = {
            b"recipient": self._recipient,
            b"transport": self._transport,
            b"domain": self._domain,
        }
        self._known: dict[bytes, _Known] = {}

    def answer(self, request: bytes) -> bytes:
        """The reply to one request. Never raises."""
        known = self._known.get(request)
        if known is None:
            known = self._look_up(request)
        metrics.count("socketmap_lookups", map=known.map, answer=known.answer)
        return known.reply

    def _look_up(self, request: bytes) -> _Known:
        reply, lasts = self._answer(request)
        name = request.partition(b" ")[0]
        map = name.decode() if name in self._maps else metrics.OTHER
        known = _Known(reply, map, reply.partition(b" ")[0].decode().lower())
        if lasts and len(request) <= _REMEMBERED_LONGEST:
            if len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]  # the oldest
            self._known[request] = known
        return known

    def _answer(self, request: bytes) -> _Answer:
        name, space, key = request.partition(b" ")
        lookup = self._maps.get(name)
        if not space:
            return _Answer(BAD_REQUEST, lasts=False)
        if lookup is None:
            there_are = b", ".join(self._maps)
            return _Answer(b"PERM there is no such map; there are " + there_are, lasts=False)
        try:
            return lookup(key.decode())
        except UnicodeDecodeError:
            return _Answer(NOT_FOUND, lasts=False)
        except Exception:  # noqa: BLE001 - Postfix has to be told something
            log.logger.exception("socketmap: the lookup of %a failed", request[:300])
            return _Answer(FAILED, lasts=False)

    def _recipient(self, key: str) -> _Answer:
        return self._by_route(key, b"OK routed")

    def _transport(self, key: str) -> _Answer:
        if self._holds(key.rpartition("@")[2]):
            return _Answer(self._next_hop, lasts=True)
        return self._by_route(key, self._next_hop)

    def _domain(self, key: str) -> _Answer:
        return _Answer(b"OK ours" if self._holds(key) else NOT_FOUND, lasts=True)

    def _by_route(self, key: str, found: bytes) -> _Answer:
        """``found`` where the LMTP server takes the address: what it would refuse must not be."""
        local, at, _ = key.rpartition("@")
        if not local or not at:
            return _Answer(NOT_FOUND, lasts=True)
        try:
            recipient = address.parse_mailbox(key, smtputf8=True)
        except AddressError:
            return _Answer(NOT_FOUND, lasts=True)
        routes = self._routes(recipient)
        return _Answer(found if routes else NOT_FOUND, lasts=not isinstance(routes, Momentary))
