"""Who signs the addresses of a project: with the keys of its settings, or one that run/ has."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lamson import log
from lamson.errors import SettingsError
from lamson.message.notes import Notary
from lamson.routing.signing import Signer

if TYPE_CHECKING:
    from lamson.settings.model import Settings

_PURPOSE = "signed addresses"


class _NoneYet(Exception):
    """No key has been made."""


def signer_of(settings: Settings) -> Signer:
    """Where there is no key, or none that can be read, no address verifies; the latter is logged.

    Nothing is read before somebody signs, or asks for an address that looks signed; and only once,
    so that a new key counts from the next reload on.
    """

    @cache
    def found() -> tuple[bytes, ...]:
        keys = [key.encode() for key in settings.signing.all_keys()]
        if not keys:
            notary = Notary.known(settings.run_dir, settings.milter.signing_secret())
            if notary is None:
                raise _NoneYet
            keys = [notary.key(_PURPOSE)]
        return tuple(keys)

    @cache
    def tell(reason: str) -> None:
        log.logger.error(
            "no signed address is known, so mail to all of them is refused: %s", reason
        )

    def keys() -> tuple[bytes, ...]:
        try:
            return found()
        except _NoneYet:
            return ()
        except (OSError, SettingsError) as error:
            tell(str(error))
            return ()

    return Signer(keys)
