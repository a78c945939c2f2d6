"""What a project wants main.cf and master.cf to say, and why.

For `plan` and `apply`, which bring it about, and `check`, which looks whether it is so. Nothing is
read from Postfix here but the names of the parameters that this version knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lamson.settings import is_loopback

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.domains import Domains
    from lamson.postfix.postconf import Postconf
    from lamson.settings import Milter, Settings


@dataclass(frozen=True, slots=True)
class Want:
    """One parameter. Where it ``is_list``, the value has to be among others, else alone.

    ``answers`` are what the maps it names have to answer, by domain; where they do it is well,
    whatever the value.
    """

    name: str
    value: str
    why: str
    is_list: bool = False
    answers: tuple[tuple[str, str], ...] = ()


class WantedService(NamedTuple):
    """One entry of master.cf."""

    key: str
    entry: str
    why: str


def of_main(settings: Settings, domains: Domains, postconf: Postconf, tables: Path) -> list[Want]:
    """What main.cf has to say. Raises RouteError where the domains cannot be listed.

    ``tables`` is where `lamson postfix maps` writes, for a project without a socketmap.
    """
    asks = bool(settings.socketmap.listen or settings.postfix.lookups)
    recipients = settings.lookup("recipient") if asks else f"regexp:{tables}/recipients"
    hops = " ".join(f"{domain}={settings.next_hop}" for domain in domains.complete())
    wants = [
        Want(
            "relay_domains",
            ", ".join(domains.complete()),
            "Postfix takes mail for our domains only if it is told that they are ours",
            is_list=True,
        ),
        Want(
            "relay_recipient_maps",
            recipients,
            "smtpd refuses unknown recipients at once; else their mail bounces to forged senders",
            is_list=True,
        ),
        Want(
            "transport_maps",
            f"inline:{{{hops}}}",
            "mail for our domains goes to Lamson's LMTP server",
            is_list=True,
            answers=tuple((domain, settings.next_hop) for domain in domains.complete()),
        ),
        Want("lmtp_send_xforward_command", "yes", "our log and the seen check use the queue id"),
        Want(
            "enable_long_queue_ids",
            "yes",
            "short queue ids repeat, so that no mail could be known as seen",
        ),
    ]
    if postconf.value("smtpd_forbid_bare_newline") is not None:
        knows_normalize = postconf.value("smtpd_forbid_bare_newline_reject_code") is not None
        wants.append(
            Want(
                "smtpd_forbid_bare_newline",
                "normalize" if knows_normalize else "yes",
                "else strangers can smuggle messages with forged senders in (CVE-2023-51764)",
            )
        )
    if settings.has_milter:
        wants.append(
            Want(
                "smtpd_milters",
                endpoint(settings.milter),
                "filters are asked while the stranger is still connected",
                is_list=True,
            )
        )
        wants.append(
            Want("milter_default_action", "tempfail", "no mail passes while the filters are down")
        )
    return wants


def endpoint(milter: Milter) -> str:
    """The milter as smtpd_milters has it."""
    if milter.host_port is None:
        return f"unix:{milter.unix_path}"
    host, port = milter.host_port
    return f"inet:[{host}]:{port}" if ":" in host else f"inet:{host}:{port}"


def of_master(settings: Settings) -> list[WantedService]:
    """The service on this machine that takes our mail from loopback, where we use one."""
    submission = settings.submission
    if submission.security != "none" or not is_loopback(submission.host):
        return []
    key = f"{submission.host}:{submission.port}/inet"
    options = {
        "syslog_name": "postfix/lamson",
        "mynetworks": "127.0.0.0/8",
        "smtpd_client_restrictions": "permit_mynetworks,reject",
        "smtpd_relay_restrictions": "permit_mynetworks,reject",
        "smtpd_recipient_restrictions": "permit_mynetworks,reject",
    }
    written = " ".join(f"-o {name}={value}" for name, value in options.items())
    return [
        WantedService(
            key,
            f"{submission.host}:{submission.port} inet n - n - - smtpd {written}",
            "replies and forwards are handed to Postfix here",
        )
    ]
