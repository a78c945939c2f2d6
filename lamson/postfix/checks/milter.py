"""Our filters: that each service which takes mail from the world asks them, or lets mail wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import ours
from lamson.postfix.checks.smtpd import faces_the_world
from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding
from lamson.postfix.wanted import SAFE_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_ACTION = "milter_default_action"


def findings(site: Site, service: Service) -> Iterator[Finding]:
    """What keeps the service from it."""
    if not site.settings.has_milter or not faces_the_world(site, service):
        return
    own, is_ours = site.settings.milter.endpoint(), ours.is_milter(site)
    milters = service.options.get("smtpd_milters")
    if milters is not None and not any(map(is_ours, map(bare, words(milters)))):
        yield Finding(
            "milter-switched-off",
            f"master.cf has {service.key} ask {milters or 'no milters'}, not {own}",
            "our filters are not asked",
            site.mend.no_override(service.key, "smtpd_milters"),
        )
    action = service.options.get(_ACTION)
    if action is not None and action not in SAFE_ACTIONS:
        yield Finding(
            "milter-default-action",
            f"master.cf has {_ACTION}={action} for {service.key}",
            "mail passes unfiltered, or is lost, while the filters are down",
            site.mend.no_override(service.key, _ACTION),
        )
    listed = words(site.get("smtpd_milters"))
    for item in listed if milters is None else words(milters):
        action = _own_action(item)
        if is_ours(bare(item)) and action is not None and action not in SAFE_ACTIONS:
            others = [one for one in listed if one != item]
            yield Finding(
                "milter-default-action",
                f"smtpd_milters has default_action={action} for {own}",
                "mail passes unfiltered, or is lost, while the filters are down",
                site.mend.set("smtpd_milters", ", ".join([bare(item), *others])),
            )


def _own_action(item: str) -> str | None:
    """What ``{ inet:…, default_action=accept }`` says; None where it says none."""
    if item == bare(item):
        return None
    options = [word.replace(" ", "") for word in item[1:-1].split(",")]
    acts = [one.partition("=")[2] for one in options if one.startswith("default_action=")]
    return acts[-1] if acts else None
