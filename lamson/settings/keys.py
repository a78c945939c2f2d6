"""Who signs the addresses of a project: with the keys of its settings, or one that run/ has."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from lamson.errors import SettingsError
from lamson.message.notes import Notary
from lamson.routing.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.settings.model import Settings

_PURPOSE = "signed addresses"


def signer_of(settings: Settings, *, clock: Callable[[], float] = time.time) -> Signer:
    """Where there is no key, or none that can be read, no address verifies.

    Nothing is read before somebody signs, or asks for an address that looks signed; and only once,
    so that a new key counts from the next reload on.
    """

    @cache
    def found() -> tuple[bytes, ...]:
        keys = [key.encode() for key in settings.signing.all_keys()]
        if not keys:
            notary = Notary.known(settings.run_dir, settings.milter.signing_secret())
            if notary is None:
                raise SettingsError("no key has been made yet")
            keys = [notary.key(_PURPOSE)]
        return tuple(keys)

    def keys() -> tuple[bytes, ...]:
        try:
            return found()
        except (OSError, SettingsError):
            return ()

    return Signer(keys, clock=clock)
