"""Our filters: that each service which takes mail from the world asks them, or lets mail wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import ours, wanted
from lamson.postfix.checks.smtpd import faces_the_world
from lamson.postfix.configuration import bare, option, words
from lamson.postfix.finding import Finding
from lamson.postfix.wanted import ACTION, SAFE_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site


def findings(site: Site, service: Service) -> Iterator[Finding]:
    """What keeps the service from it."""
    if not site.settings.has_milter or not faces_the_world(site, service):
        return
    own, is_ours = site.settings.milter.endpoint(), ours.is_milter(site)
    milters = service.options.get("smtpd_milters")
    if milters is not None and not any(map(is_ours, map(bare, words(milters)))):
        beside = ", ".join(wanted.milters(site, words(milters)).items)
        yield Finding(
            "milter-switched-off",
            f"master.cf has {service.key} ask {milters or 'no milters'}, not {own}",
            "our filters are not asked",
            site.mend.override(
                service.key,
                f"smtpd_milters={beside}",
            ),
        )
    for item in () if milters is None else words(milters):
        action = option(item, ACTION) or site.effective(service, "milter_default_action")
        if is_ours(bare(item)) and action not in SAFE_ACTIONS:
            yield Finding(
                "milter-default-action",
                f"master.cf has {service.key} ask {own} with {ACTION}={action}",
                "mail passes unfiltered, or is lost, while the filters are down",
                f"by hand, as other filters are named beside it: {{ {own}, {ACTION}=tempfail }}",
            )
