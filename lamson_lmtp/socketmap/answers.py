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

Source: socketmap_table(5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson import log, metrics
from lamson.errors import AddressError
from lamson.smtp import address

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 100_000  # octets of a request, as Postfix limits our replies

NOT_FOUND = b"NOTFOUND "
BAD_REQUEST = b"PERM expected: the name of a map, a space, a key"
FAILED = b"TEMP the lookup failed; the log of lamson says why"


class Socketmap:
    """Answers requests. ``routes`` tells of an address whether it is routed, ``holds`` of a domain
    whether it is ours; ``next_hop`` is ``lmtp:inet:[host]:port`` or ``lmtp:unix:path``."""

    def __init__(
        self, routes: Callable[[str], object], holds: Callable[[str], bool], next_hop: str
    ) -> None:
        self._routes = routes
        self._holds = holds
        self._next_hop = b"OK " + next_hop.encode()
        self._maps = {
            b"recipient": self._recipient,
            b"transport": self._transport,
            b"domain": self._domain,
        }

    def answer(self, request: bytes) -> bytes:
        """The reply to one request. Never raises."""
        reply = self._reply(request)
        name = request.partition(b" ")[0]
        metrics.count(
            "socketmap_lookups",
            map=name.decode() if name in self._maps else metrics.OTHER,
            answer=reply.partition(b" ")[0].decode().lower(),
        )
        return reply

    def _reply(self, request: bytes) -> bytes:
        name, space, key = request.partition(b" ")
        lookup = self._maps.get(name)
        if not space:
            return BAD_REQUEST
        if lookup is None:
            return b"PERM there is no such map; there are " + b", ".join(self._maps)
        try:
            return lookup(key.decode())
        except UnicodeDecodeError:
            return NOT_FOUND
        except Exception:  # noqa: BLE001 - Postfix has to be told something
            log.logger.exception("socketmap: the lookup of %a failed", request[:300])
            return FAILED

    def _recipient(self, key: str) -> bytes:
        return b"OK routed" if self._is_routed(key) else NOT_FOUND

    def _transport(self, key: str) -> bytes:
        domain = key.rpartition("@")[2]
        return self._next_hop if self._holds(domain) or self._is_routed(key) else NOT_FOUND

    def _domain(self, key: str) -> bytes:
        return b"OK ours" if self._holds(key) else NOT_FOUND

    def _is_routed(self, key: str) -> bool:
        """As the LMTP server sees the address: what it would refuse must not be found."""
        local, at, _ = key.rpartition("@")
        if not local or not at:
            return False
        try:
            return bool(self._routes(address.parse_mailbox(key, smtputf8=True)))
        except AddressError:
            return False
