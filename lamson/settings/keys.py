"""Who signs the addresses of a project: with the keys of its settings, or one that run/ has."""

from __future__ import annotations

import math
import time
from functools import cache
from typing import TYPE_CHECKING

from lamson import log
from lamson.errors import SettingsError
from lamson.message.notes import Notary
from lamson.routing.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.settings.model import Settings

ELSEWHERE = 60.0  # seconds for which keys are believed in a process that no reload renews
_PURPOSE = "signed addresses"


def signer_of(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    believed: float = math.inf,
    steady: Callable[[], float] = time.monotonic,
) -> Signer:
    """Where there is no key, or none that can be read, no address verifies; the latter is logged.

    Nothing is read before somebody signs, or asks for an address that looks signed. In the service
    it is read once, so that a new key counts from the next reload on; elsewhere, as in a web
    application, it is ``believed`` for so many seconds (`ELSEWHERE`), and then read afresh. Where
    that fails, what was read before counts.
    """
    known: tuple[bytes, ...] = ()
    read_at = -math.inf

    @cache
    def tell(reason: str, *, is_known: bool) -> None:
        problem = "no signed address is known, so mail to all of them is refused"
        if is_known:
            problem = "the keys of signed addresses were not read afresh"
        log.logger.error("%s: %s", problem, reason)

    def keys() -> tuple[bytes, ...]:
        nonlocal known, read_at
        now = steady()
        if not known or now - read_at >= believed:
            try:
                known, read_at = _read(settings) or known, now
            except (OSError, SettingsError) as error:
                tell(str(error), is_known=bool(known))
        return known

    return Signer(keys, clock=clock)


def _read(settings: Settings) -> tuple[bytes, ...]:
    """The keys, newest first; none where none has been made. Raises OSError, SettingsError."""
    own = settings.signing
    if own.secret is not None or own.secret_file is not None:
        return tuple(key.encode() for key in own.all_keys())
    notary = Notary.known(settings.run_dir, settings.milter.signing_secret())
    return () if notary is None else (notary.key(_PURPOSE),)
