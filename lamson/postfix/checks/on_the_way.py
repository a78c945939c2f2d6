"""The services of master.cf that our mail passes, and what each of them is told by ``-o``.

For the doctor: a table in main.cf may be well, and the very program that asks it be given another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import submission, transport
from lamson.postfix.checks.smtpd import faces_the_world
from lamson.postfix.configuration import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site


def is_passed(site: Site, service: Service) -> bool:
    """Mail to us, or what we send, goes through it."""
    if service.program == "smtpd":
        return takes_ours(site, service)
    if service.program == "cleanup":
        names = {site.get("cleanup_service_name") or "cleanup"}
        names |= {_cleanup(site, one) for one in site.smtpds if takes_ours(site, one)}
        return service.key in {f"{one}/unix" for one in names}
    if service.program == "smtp":
        return service is client(site)
    if service.program == "lmtp":
        return service is transport.of(site).service(site)
    return service.program == "trivial-rewrite"


def takes_ours(site: Site, service: Service) -> bool:
    """It is where mail comes in from the world, or our submission server."""
    return submission.is_own(site, service) or faces_the_world(site, service)


def client(site: Site) -> Service | None:
    """By which mail for the world leaves."""
    name = site.get("default_transport").partition(":")[0] or "smtp"
    return site.services.get(f"{name}/unix")


def listed(site: Site, name: str) -> list[str]:
    """The items of a list: of main.cf, and of the services that our mail passes."""
    values = [site.get(name), *(value for _, value in overrides(site, name))]
    return list(dict.fromkeys(word for value in values for word in words(value)))


def overrides(site: Site, name: str) -> Sequence[tuple[Service, str]]:
    """Services that our mail passes with a value of their own."""
    return [
        (one, one.options[name])
        for one in site.services.values()
        if name in one.options and is_passed(site, one)
    ]


def _cleanup(site: Site, service: Service) -> str:
    return site.effective(service, "cleanup_service_name") or "cleanup"
