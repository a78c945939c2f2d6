"""Tracked mail: its id, its envelope sender, and what submission is asked to report of it.

For `lamson.delivery.context`. The envelope sender is a bounce address (VERP): what comes of the
mail comes to it, and is told to the module that sent it (see `lamson.delivery.outcomes`).
"""

from __future__ import annotations

import base64
import re
import secrets
import time
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.routing.bounces import DAYS
from lamson.smtp import address
from lamson.smtp.folding import written_domain
from lamson.storage.tracked import Tracked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from lamson.routing.bounces import BounceAddresses
    from lamson.storage.state import StateKey

_ID = 10  # octets
_LIST_ID = re.compile(r"<([^<>\s]{1,255})>\s*$")


class Tracking:
    """Makes it. ``is_default`` says whether mail is tracked of which nothing is said, ``notify`` of
    what submission reports (RFC 3461). ``is_ours`` tells whether a domain is one of ours; of those
    that can be listed, ``domains`` are all.
    """

    def __init__(
        self,
        addresses: BounceAddresses,
        *,
        is_ours: Callable[[str], bool],
        domains: Collection[str] = (),
        is_default: bool = False,
        notify: str = "FAILURE,DELAY",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._addresses = addresses
        self._is_ours = is_ours
        self._domain = min(filter(str.isascii, domains), default="")
        self._clock = clock
        self.is_default = is_default
        self.notify = notify

    def mail(
        self,
        *,
        message_id: str,
        subject: str,
        recipients: tuple[str, ...],
        module: str,
        key: StateKey | None,
        scope: str,
    ) -> Tracked:
        """A mail that is sent now."""
        now = self._clock()
        id = base64.b32encode(secrets.token_bytes(_ID)).decode().lower()
        until = now + DAYS * 86400
        return Tracked(id, message_id, subject, recipients, module, key, scope, now, until)

    def sender(self, mail: Tracked, *preferred: str) -> str:
        """The bounce address of the mail, in the domain of the first of ``preferred`` that is ours.

        Raises LamsonError where no domain is, or the project has no key.
        """
        for one in preferred:
            domain = written_domain(address.split(one)[1])
            if domain and domain.isascii() and self._is_ours(domain):
                break
        else:
            domain = self._domain
        if not domain:
            raise LamsonError(
                "tracked mail needs a domain of ours for its bounces: name one in the setting"
                " domains"
            )
        try:
            return self._addresses.address(mail.id, domain)
        except ValueError as error:
            raise LamsonError(f"mail cannot be tracked: {error}") from error


def list_of(list_id: str) -> str:
    """The name of the list that a List-Id field tells (RFC 2919), "" for none."""
    found = _LIST_ID.search(list_id)
    return found[1].lower() if found else ""
