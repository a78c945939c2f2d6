"""The recipient check: an address in our domains that no route matches is refused at RCPT TO.

For the milter with `check_recipients`, as the alternative to the socketmap: the same routes decide
there and here. Addresses in other domains are Postfix's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.routing.domains import Domains
from lamson.smtp.reply import NO_SUCH_RECIPIENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.routing.router import Router
    from lamson.settings.model import Settings
    from lamson.smtp.reply import Reply


def check(router: Router, settings: Settings) -> Callable[[str], Reply | None]:
    """A function that gives the reply for a recipient which has to be refused, else None."""
    holds = Domains(router.routes, settings.domains).holds

    def refuse(recipient: str) -> Reply | None:
        if not holds(recipient.rpartition("@")[2]) or router.match(recipient):
            return None
        return NO_SUCH_RECIPIENT

    return refuse
