"""The reserved addresses of a project: signed with the key that its settings name, or run/ has.

For the service's processes, each of which has to know them, and for the doctor, who makes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.errors import SettingsError
from lamson.message.notes import Notary
from lamson.routing.reserved import Reserved

if TYPE_CHECKING:
    from lamson.settings.model import Settings

_PURPOSE = "probe"


def reserved_of(settings: Settings) -> Reserved:
    """Where there is no key, or none that can be read, no address is reserved. Nothing is read
    before somebody asks for an address that is like one."""
    found: list[bytes] = []

    def key() -> bytes | None:
        if not found:
            try:
                notary = Notary.known(settings.run_dir, settings.milter.signing_secret())
            except (OSError, SettingsError):
                return None
            if notary is None:
                return None
            found.append(notary.key(_PURPOSE))
        return found[0]

    return Reserved(key)
