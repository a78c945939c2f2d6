"""What a project wants main.cf to say, and why.

For `plan` and `apply`, which bring it about, and `check`, which looks whether it is so. Nothing is
read from Postfix here but the names of the parameters that this version knows.
"""

from __future__ import annotations

import ipaddress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from lamson.postfix import ours, recipients, transport
from lamson.postfix.configuration import bare, option, words
from lamson.postfix.want import Want, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lamson.postfix.site import Site
    from lamson.settings.model import Settings

# Postfix measures its queue file, with all that it and filters have added; its LMTP client then
# adds three octets to every 998 of a longer line, to break it. So we need a hundredth more than it.
ROOM = 100
ACTION = "default_action"
SAFE_ACTIONS = ("tempfail", "shutdown")
"""Values of it, or of milter_default_action, with which mail waits while the filters are down."""


class _Items(NamedTuple):
    items: Sequence[str]
    files: Mapping[Path, str] = MappingProxyType({})


def of_main(site: Site) -> list[Want]:
    """What main.cf has to say. Raises RouteError where the domains cannot be listed."""
    domains, used = site.domains.complete(), transport.of(site)
    next_hop = used.next_hop
    hops = " ".join(f"{domain}={next_hop}" for domain in domains)
    wants = [
        Want(
            "relay_domains",
            ", ".join(domains),
            "Postfix takes mail for our domains only if it is told that they are ours",
            is_list=True,
            has_domains=True,
            will_do=ours.is_domains(site),
        ),
        Want(
            "relay_recipient_maps",
            ours.recipients(site),
            "smtpd refuses unknown recipients at once; else their mail bounces to forged senders",
            is_list=True,
            will_do=ours.is_recipients(site),
            rewrite=partial(recipients.wanted, site),
        ),
        Want(
            "transport_maps",
            f"inline:{{{hops}}}",
            "mail for our domains goes to Lamson's LMTP server",
            is_list=True,
            answers=tuple((domain, next_hop) for domain in domains),
            otherwise="relay_transport",
        ),
        Want(
            "enable_long_queue_ids",
            "yes",
            "short queue ids repeat, so that no mail could be known as seen",
        ),
    ]
    return [*wants, *_newlines(site), *transport.limits(site, used), *_milter(site)]


def _newlines(site: Site) -> list[Want]:
    if site.value("smtpd_forbid_bare_newline") is None:
        return []
    knows_normalize = site.value("smtpd_forbid_bare_newline_reject_code") is not None
    return [
        Want(
            "smtpd_forbid_bare_newline",
            "normalize" if knows_normalize else "yes",
            "else strangers can smuggle messages with forged senders in (CVE-2023-51764)",
            will_do=lambda value: value in ("normalize", "reject", "yes"),
        ),
        Want(
            "smtpd_forbid_bare_newline_exclusions",
            "",
            "whoever passes strangers' mail on from a network that is excused, as a content filter"
            " or a proxy on loopback does, passes the smuggled on as well; name single hosts only",
            will_do=_are_single_hosts,
        ),
    ]


def _are_single_hosts(exclusions: str) -> bool:
    """Each is one address, not this machine's, that somebody has taken the trouble to name."""
    for word in words(exclusions):
        try:
            network = ipaddress.ip_network(word.replace("[", "").replace("]", ""))
        except ValueError:
            return False
        if network.num_addresses > 1 or network.is_loopback:
            return False
    return True


def size(settings: Settings) -> Want:
    """The site's limit of size, which is everybody's: looked after, and never changed by us."""
    largest = settings.lmtp.max_size
    most = max(1, largest - largest // ROOM)
    return Want(
        "message_size_limit",
        str(most),
        f"what is beyond lmtp.max_size, {largest}, we refuse, and Postfix sends a bounce; long"
        f" lines grow on the way, so that Postfix's limit is too big beyond {most}",
        will_do=lambda value: 0 < number(value) <= most,
    )


def _milter(site: Site) -> list[Want]:
    if not site.settings.has_milter:
        return []
    return [
        Want(
            "smtpd_milters",
            site.settings.milter.endpoint(),
            "filters are asked while the stranger is still connected; while they are down no mail"
            " passes, and none is lost",
            is_list=True,
            will_do=ours.is_milter(site),
            rewrite=partial(milters, site),
        ),
    ]


def milters(site: Site, there: Sequence[str]) -> _Items:
    """The list with ours, which is the last where it is new, and has an action of its own: that of
    the site is for the filters of others."""
    is_ours = ours.is_milter(site)
    places = (None, *site.smtpds)
    is_safe = all(site.effective(one, "milter_default_action") in SAFE_ACTIONS for one in places)
    items = []
    for item in there:
        action = option(item, ACTION)
        if not is_ours(bare(item)) or action in SAFE_ACTIONS or (action is None and is_safe):
            items.append(item)
        else:
            items.append(_tempfail(item))
    if not any(is_ours(bare(item)) for item in there):
        items.append(_tempfail(site.settings.milter.endpoint()))
    return _Items(items)


def _tempfail(item: str) -> str:
    kept = [one.strip() for one in item[1:-1].split(",")] if item.startswith("{") else [item]
    others = [one for one in kept if one.partition("=")[0].strip() != ACTION]
    return f"{{ {', '.join([*others, f'{ACTION}=tempfail'])} }}"
