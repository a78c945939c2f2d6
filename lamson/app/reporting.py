"""How an application hears what became of its mail: bounce addresses, and who reads what comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.delivery.outcomes import Outcomes
from lamson.delivery.reports import Reports
from lamson.delivery.tracking import Tracking
from lamson.routing.bounces import PREFIX, BounceAddresses
from lamson.settings.keys import signer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.routing.domains import Domains
    from lamson.routing.router import Router
    from lamson.settings.model import Settings
    from lamson.storage.maildir import Maildir


class Reporting:
    """``outcomes`` tells the modules of ``router``, ``tracking`` makes mail that is reported of.

    The router takes what comes to bounce addresses from then on.
    """

    def __init__(
        self,
        settings: Settings,
        router: Router,
        domains: Domains,
        undeliverable: Maildir,
        *,
        clock: Callable[[], float],
    ) -> None:
        submission = settings.submission
        addresses = BounceAddresses(signer_of(settings, clock=clock), clock=clock)
        self.outcomes = Outcomes(
            router,
            suppresses=submission.suppress == "hard",
            soft_limit=submission.soft_limit,
            soft_days=submission.soft_days,
            clock=clock,
        )
        reports = Reports(addresses, self.outcomes, undeliverable, clock=clock)
        router.reserve(PREFIX, addresses.takes, reports.take)
        self.tracking = Tracking(
            addresses,
            is_ours=domains.holds,
            domains=domains.listed,
            is_default=submission.track,
            notify=submission.notify,
            clock=clock,
        )
