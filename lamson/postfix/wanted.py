"""What a project wants main.cf to say, and why.

For `plan` and `apply`, which bring it about, and `check`, which looks whether it is so. Nothing is
read from Postfix here but the names of the parameters that this version knows. A value that is no
number or time where Postfix has one is never as wanted.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.postfix import tables
from lamson.postfix.postconf import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.postfix.postconf import Postconf
    from lamson.routing.domains import Domains
    from lamson.settings import Milter, Settings

# Postfix measures its queue file, with all that it and filters have added; its LMTP client then
# adds three octets to every 998 of a longer line, to break it. So we need a hundredth more than it.
ROOM = 100
_USUAL_CONCURRENCY = 20  # Postfix's own default
_MOST_RECIPIENTS = 50  # Postfix's own default
SAFE_ACTIONS = ("tempfail", "shutdown")
"""Values of milter_default_action with which mail waits while the filters are down."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Want:
    """One parameter. Where it ``is_list``, the value has to be among others, else alone.

    ``answers`` are what the maps it names have to answer, by domain; where they do it is well,
    whatever the value. ``otherwise`` names the parameter that counts where they answer nothing.
    ``has_domains``: it is a list of domains, which may be brought by a table, a file or a parent.
    ``will_do`` tells of another value (effective, ``$`` expanded) whether it is as good; where it
    ``is_list``, of an item of it.
    """

    name: str
    value: str
    why: str
    is_list: bool = False
    answers: tuple[tuple[str, str], ...] = ()
    otherwise: str | None = None
    has_domains: bool = False
    will_do: Callable[[str], bool] | None = None

    def is_met_by(self, effective: str) -> bool:
        """The one value will do. What Postfix itself could not read never does."""
        try:
            will_do = self.will_do is not None and self.will_do(effective)
        except LamsonError:
            will_do = False
        return will_do or effective == self.value


def of_main(
    settings: Settings, domains: Domains, postconf: Postconf, directory: Path
) -> list[Want]:
    """What main.cf has to say. Raises RouteError where the domains cannot be listed.

    ``directory`` is where `lamson postfix maps` writes, for a project without a socketmap.
    """
    hops = " ".join(f"{domain}={settings.next_hop}" for domain in domains.complete())
    wants = [
        Want(
            "relay_domains",
            ", ".join(domains.complete()),
            "Postfix takes mail for our domains only if it is told that they are ours",
            is_list=True,
            has_domains=True,
            will_do=_is_ours("domain", tables.DOMAINS, settings, directory),
        ),
        Want(
            "relay_recipient_maps",
            recipients(settings, directory),
            "smtpd refuses unknown recipients at once; else their mail bounces to forged senders",
            is_list=True,
            will_do=knows_recipients(settings, directory),
        ),
        Want(
            "transport_maps",
            f"inline:{{{hops}}}",
            "mail for our domains goes to Lamson's LMTP server",
            is_list=True,
            answers=tuple((domain, settings.next_hop) for domain in domains.complete()),
            otherwise="relay_transport",
        ),
        Want("lmtp_send_xforward_command", "yes", "our log and the seen check use the queue id"),
        Want(
            "enable_long_queue_ids",
            "yes",
            "short queue ids repeat, so that no mail could be known as seen",
        ),
    ]
    return [*wants, *_newlines(postconf), *_limits(settings), *_milter(settings, postconf)]


def recipients(settings: Settings, directory: Path) -> str:
    """The map of our recipients; ``directory`` as in `of_main`."""
    if _has_socketmap(settings):
        return settings.lookup("recipient")
    return f"regexp:{directory}/{tables.RECIPIENTS}"


def knows_recipients(settings: Settings, directory: Path) -> Callable[[str], bool]:
    """Tells of an item of a list whether it is the map of our recipients, in any of its forms."""
    return _is_ours("recipient", tables.RECIPIENTS, settings, directory)


def _has_socketmap(settings: Settings) -> bool:
    return bool(settings.socketmap.listen or settings.postfix.lookups)


def _is_ours(name: str, file: str, settings: Settings, directory: Path) -> Callable[[str], bool]:
    """Tells of an item of a list whether it is our socketmap's map, or a table of our routes."""
    asked = settings.lookup(name) if _has_socketmap(settings) else None

    def is_ours(item: str) -> bool:
        item = item.removeprefix("proxy:")
        path = tables.of_item(item, directory)
        return item == asked or (path is not None and path.name == file)

    return is_ours


def _newlines(postconf: Postconf) -> list[Want]:
    if postconf.value("smtpd_forbid_bare_newline") is None:
        return []
    knows_normalize = postconf.value("smtpd_forbid_bare_newline_reject_code") is not None
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


def _limits(settings: Settings) -> list[Want]:
    """How much, how many and how long, so that Postfix never asks for more than we give."""
    lmtp = settings.lmtp
    size = max(1, lmtp.max_size - lmtp.max_size // ROOM)
    most = lmtp.max_connections
    busy = settings.workers * settings.threads
    together = min(_MOST_RECIPIENTS, lmtp.max_recipients)
    wants = [
        Want(
            "message_size_limit",
            str(size),
            f"what is beyond lmtp.max_size, {lmtp.max_size}, we refuse, and Postfix sends a bounce;"
            f" long lines grow on the way, so that Postfix's limit is too big beyond {size} (or"
            " raise lmtp.max_size)",
            will_do=lambda value: 0 < _number(value) <= size,
        ),
        Want(
            "lmtp_destination_concurrency_limit",
            str(min(max(_USUAL_CONCURRENCY, busy), most)),
            f"with fewer than workers x threads, {busy}, some of our threads are idle; connections"
            f" beyond lmtp.max_connections, {most}, are told 421, and Postfix takes us for dead",
            will_do=lambda value: min(busy, most) <= _number(value) <= most,
        ),
        Want(
            "lmtp_destination_recipient_limit",
            str(together),
            f"recipients beyond lmtp.max_recipients, {lmtp.max_recipients}, are deferred with each"
            " message",
            will_do=lambda value: 0 < _number(value) <= lmtp.max_recipients,
        ),
        Want("smtputf8_enable", "yes", "else mail with an address beyond ASCII is refused"),
    ]
    for name, needed, what in (
        ("lmtp_data_done_timeout", settings.handler_deadline, "handler_deadline"),
        ("lmtp_rcpt_timeout", 30.0, "a busy moment"),
    ):
        wants.append(
            Want(
                name,
                f"{max(600, int(needed * 2))}s",
                f"{what} may last {needed:g} s: Postfix would give up, and send the mail again",
                will_do=lambda value, needed=needed: seconds(value) > needed,  # type: ignore[misc]
            )
        )
    return wants


def _number(value: str) -> int:
    if not value.isdigit():
        raise LamsonError(f"{value!r} is no number")
    return int(value)


def seconds(value: str) -> float:
    """A time as Postfix writes it, such as ``600s``. Raises LamsonError."""
    found = re.fullmatch(r"(\d+)([smhdw]?)", value)
    if found is None:
        raise LamsonError(f"{value!r} is no time that Postfix knows")
    return int(found[1]) * _SECONDS[found[2] or "s"]


def _milter(settings: Settings, postconf: Postconf) -> list[Want]:
    if not settings.has_milter:
        return []
    return [
        Want(
            "smtpd_milters",
            endpoint(settings.milter),
            "filters are asked while the stranger is still connected",
            is_list=True,
            will_do=is_our_milter(settings.milter, postconf),
        ),
        Want(
            "milter_default_action",
            "tempfail",
            "no mail passes, and none is lost, while the filters are down",
            will_do=lambda value: value in SAFE_ACTIONS,
        ),
    ]


def endpoint(milter: Milter) -> str:
    """The milter as smtpd_milters has it."""
    if milter.host_port is None:
        return f"unix:{milter.unix_path}"
    host, port = milter.host_port
    return f"inet:[{host}]:{port}" if ":" in host else f"inet:{host}:{port}"


def is_our_milter(milter: Milter, postconf: Postconf) -> Callable[[str], bool]:
    """Tells of an item of smtpd_milters, without its own options, whether it is this one.

    Where the socket lies below the queue directory, it is also as a chrooted smtpd sees it.
    """
    own = {endpoint(milter)}
    queue = Path((postconf.value("queue_directory") or "/").strip())
    if milter.host_port is None and milter.unix_path and milter.unix_path.is_relative_to(queue):
        inside = milter.unix_path.relative_to(queue)
        own |= {f"unix:{inside}", f"unix:/{inside}"}
    return own.__contains__
