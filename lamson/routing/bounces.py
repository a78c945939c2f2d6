"""Bounce addresses, ``bounces+TOKEN@host``: where reports about tracked mail come.

The token says which mail, is signed with a key of the project and counts for a month. So a report
that arrives there is about mail of ours, and by somebody who has seen it: its recipients, and the
servers on its way. Any other address with that name is what it would be without: routed, if the
application takes it, and else unknown (550).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lamson.routing.signing import OURS, Signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.routing.signing import Signer

PREFIX = "bounces+"
DAYS = 30.0
_SIGNED = Signed(f"{OURS}bounce", days=DAYS)


class BounceAddresses:
    """Makes and knows them, with the keys of ``signer``."""

    def __init__(self, signer: Signer, *, clock: Callable[[], float] = time.time) -> None:
        self._signer = signer
        self._clock = clock

    def address(self, id: str, domain: str, *, until: float | None = None) -> str:
        """That of the mail ``id``, which counts for so long, by default for `DAYS`.

        Raises ValueError where the project has no key.
        """
        signed = _SIGNED
        if until is not None:
            signed = Signed(_SIGNED.purpose, days=max((until - self._clock()) / 86400, 1.0))
        return f"{PREFIX}{self._signer.sign(signed, id)}@{domain}"

    def read(self, address: str) -> str | None:
        """The id of the mail whose bounce address it is; None for any other address."""
        if address[: len(PREFIX)].lower() != PREFIX:
            return None
        local = address.rpartition("@")[0]
        token = self._signer.read(_SIGNED, local[len(PREFIX) :])
        return None if token is None else token.payload

    def takes(self, address: str) -> bool:
        """It is one. Costs next to nothing for an address that is not like one."""
        return self.read(address) is not None
