"""The inspection: what is wrong with a Postfix configuration for this project.

For `lamson postfix check`. It reads the configuration and asks its tables; whether the services
answer is for `lamson.postfix.probes`. Each method looks at one thing.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.postfix import plan, wants
from lamson.postfix.findings import Finding
from lamson.postfix.postconf import words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lamson.domains import Domains
    from lamson.postfix.postconf import Postconf
    from lamson.settings import Settings

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Inspection:
    """One project and the Postfix in front of it. ``tables`` is where its tables are written."""

    def __init__(
        self, settings: Settings, domains: Domains, postconf: Postconf, tables: Path
    ) -> None:
        self._settings = settings
        self._domains = domains
        self._postconf = postconf
        self._tables = tables

    def findings(self) -> Iterator[Finding]:
        """All that is wrong. Raises LamsonError where the configuration cannot be read."""
        yield from self._wanted()
        yield from self._domain_classes()
        yield from self._relay()
        yield from self._newlines()
        yield from self._sizes_and_times()
        yield from self._chroots()
        yield from self._tables_there()
        yield from self._services()
        yield from self._routes_for_anybody()

    def _get(self, name: str) -> str:
        return (self._postconf.value(name) or "").strip()

    def _fix(self, name: str, value: str) -> str:
        return f"postconf {self._postconf.option}-e '{name} = {value}' && {self._postconf.reload}"

    def _wanted(self) -> Iterator[Finding]:
        """Whatever `plan` would change."""
        main = wants.of_main(self._settings, self._domains, self._postconf, self._tables)
        for change in plan.make(self._postconf, main, wants.of_master(self._settings)):
            missing = f"{change.name} is {change.before or 'not set'}"
            if change.file == "master.cf":
                missing = f"master.cf has no service {change.name}"
                fix = f"postconf {self._postconf.option}-M '{change.name}={change.after}'"
                fix += f" && {self._postconf.reload}"
            else:
                fix = self._fix(change.name, change.after)
            yield Finding(change.name.partition("/")[0], missing, change.why, fix)

    def _domain_classes(self) -> Iterator[Finding]:
        """A domain is of one address class alone (ADDRESS_CLASS_README)."""
        for name in ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains"):
            listed = {word.lower() for word in words(self._get(name))}
            for domain in sorted(listed & self._domains.listed):
                left = ", ".join(w for w in words(self._get(name)) if w.lower() != domain)
                yield Finding(
                    f"{name}-has-ours",
                    f"{domain} is in {name} as well as in relay_domains",
                    "Postfix then looks for its recipients among its own, and bounces our mail",
                    self._fix(name, left),
                )

    def _relay(self) -> Iterator[Finding]:
        """Who may send through this Postfix to anywhere."""
        for network in words(self._get("mynetworks")):
            try:
                is_wide = ipaddress.ip_network(network, strict=False).num_addresses > 2**24
            except ValueError:
                is_wide = False
            is_loopback = network.startswith(("127.", "[::1]"))
            if is_wide and not is_loopback:
                yield Finding(
                    "mynetworks-is-the-world",
                    f"mynetworks has {network}",
                    "strangers may relay through this Postfix",
                    self._fix("mynetworks", "127.0.0.0/8, [::1]/128"),
                )
        restrictions = [
            word
            for name in ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
            for word in words(self._get(name))
        ]
        closing = {"reject", "defer", "reject_unauth_destination", "defer_unauth_destination"}
        first_permit = (
            restrictions.index("permit") if "permit" in restrictions else len(restrictions)
        )
        if not closing & set(restrictions[:first_permit]):
            yield Finding(
                "open-relay-restrictions",
                "neither smtpd_relay_restrictions nor smtpd_recipient_restrictions has"
                " reject_unauth_destination",
                "smtpd refuses all mail, or relays for strangers",
                self._fix(
                    "smtpd_relay_restrictions",
                    "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
                ),
            )
        code = self._get("unknown_relay_recipient_reject_code")
        if not code.startswith("5"):
            yield Finding(
                "unknown-recipients-are-deferred",
                f"unknown_relay_recipient_reject_code is {code}",
                "strangers try for days to reach an address that there is not",
                self._fix("unknown_relay_recipient_reject_code", "550"),
            )
        if self._get("soft_bounce") == "yes":
            yield Finding(
                "soft-bounce",
                "soft_bounce is yes",
                "no refusal of ours is final: what we refuse stays in the queue for days",
                self._fix("soft_bounce", "no"),
            )

    def _newlines(self) -> Iterator[Finding]:
        if self._postconf.value("smtpd_forbid_bare_newline") is None:
            yield Finding(
                "old-postfix",
                f"Postfix {self._get('mail_version')} has no smtpd_forbid_bare_newline",
                "strangers can smuggle messages with forged senders in (CVE-2023-51764)",
                "upgrade Postfix (3.5.23, 3.6.13, 3.7.9, 3.8.4 or later)",
            )
        for word in words(self._get("smtpd_forbid_bare_newline_exclusions")):
            if word in ("0.0.0.0/0", "::/0", "[::]/0", "static:all"):
                yield Finding(
                    "newline-exclusions",
                    f"smtpd_forbid_bare_newline_exclusions has {word}",
                    "everybody is excused from what keeps smuggled messages out",
                    self._fix("smtpd_forbid_bare_newline_exclusions", "$mynetworks"),
                )
        if "chunking" not in self._get("smtpd_discard_ehlo_keywords").lower() and (
            self._get("smtpd_forbid_bare_newline") == "reject"
        ):
            yield Finding(
                "newline-reject-and-bdat",
                "smtpd_forbid_bare_newline is reject, but BDAT is offered",
                "mail of Microsoft's servers, which sends bare newlines by BDAT, is refused",
                self._fix("smtpd_forbid_bare_newline", "normalize"),
            )

    def _sizes_and_times(self) -> Iterator[Finding]:
        lmtp = self._settings.lmtp
        limit = int(self._get("message_size_limit") or 0)
        if limit == 0 or limit > lmtp.max_size:
            shown = "no limit" if limit == 0 else str(limit)
            yield Finding(
                "message-size",
                f"message_size_limit is {shown}, lmtp.max_size is {lmtp.max_size}",
                "Postfix takes messages that we then refuse, and bounces them",
                self._fix("message_size_limit", str(lmtp.max_size)),
            )
        for name, needed, what in (
            ("lmtp_data_done_timeout", self._settings.handler_deadline, "handler_deadline"),
            ("lmtp_rcpt_timeout", 30.0, "a busy moment"),
        ):
            if (seconds := _seconds(self._get(name))) <= needed:
                yield Finding(
                    name,
                    f"{name} is {seconds:g} s, and {what} {needed:g} s",
                    "Postfix gives up on a handler that is still at work, and sends the mail again",
                    self._fix(name, f"{max(600, int(needed * 2))}s"),
                )
        concurrency = int(self._get("lmtp_destination_concurrency_limit") or 0)
        most = lmtp.max_connections * self._settings.workers
        if concurrency == 0 or concurrency > most:
            yield Finding(
                "destination-concurrency",
                f"lmtp_destination_concurrency_limit is {concurrency or 'no limit'}, ours {most}",
                "connections beyond are told 421, and Postfix takes us for dead",
                self._fix("lmtp_destination_concurrency_limit", str(min(20, most))),
            )
        recipients = int(self._get("lmtp_destination_recipient_limit") or 0)
        if recipients == 0 or recipients > lmtp.max_recipients:
            yield Finding(
                "destination-recipients",
                f"lmtp_destination_recipient_limit is {recipients or 'no limit'},"
                f" lmtp.max_recipients is {lmtp.max_recipients}",
                "recipients beyond are deferred with each message",
                self._fix("lmtp_destination_recipient_limit", str(min(50, lmtp.max_recipients))),
            )
        if self._get("smtputf8_enable") != "yes":
            yield Finding(
                "smtputf8",
                "smtputf8_enable is no",
                "mail with an address beyond ASCII is refused",
                self._fix("smtputf8_enable", "yes"),
            )

    def _chroots(self) -> Iterator[Finding]:
        """A chrooted client sees its queue directory alone."""
        queue = self._get("queue_directory")
        services = self._postconf.services()
        hop = self._settings.next_hop
        lmtp = services.get("lmtp/unix")
        if lmtp is None:
            yield Finding(
                "no-lmtp-client",
                "master.cf has no lmtp client",
                "mail for us stays in the queue",
                f"postconf {self._postconf.option}-M 'lmtp/unix=lmtp unix - - n - - lmtp'"
                f" && {self._postconf.reload}",
            )
        elif (
            lmtp.is_chrooted
            and hop.startswith("lmtp:unix:/")
            and not hop.startswith(f"lmtp:unix:{queue}/")
        ):
            yield Finding(
                "lmtp-chroot",
                f"lmtp is chrooted to {queue} and cannot see {hop[10:]}",
                "mail for us stays in the queue: connect: No such file or directory",
                f"postconf {self._postconf.option}-F lmtp/unix/chroot=n && {self._postconf.reload}",
            )
        asked = self._settings.lookup("") if self._settings.socketmap.listen else ""
        for service in services.values():
            is_proxied = f"proxy:{asked}" in self._get("relay_recipient_maps")
            if (
                service.program == "smtpd"
                and service.is_chrooted
                and asked.startswith("socketmap:unix:/")
                and not is_proxied
            ):
                yield Finding(
                    "socketmap-chroot",
                    f"smtpd ({service.key}) is chrooted and cannot see {asked[15:-1]}",
                    "all mail for us is deferred: Temporary lookup failure",
                    f"postconf {self._postconf.option}-F {service.key}/chroot=n"
                    f" && {self._postconf.reload}",
                )

    def _tables_there(self) -> Iterator[Finding]:
        """The tables made from the routes, where they are used: there, and not out of date."""
        if f"{self._tables}/" not in self._get("relay_recipient_maps"):
            return
        table = self._tables / "recipients"
        if not table.exists():
            yield Finding(
                "no-tables",
                f"relay_recipient_maps names {table}, which is not there",
                "all mail for us is deferred",
                "lamson postfix maps",
            )

    def _services(self) -> Iterator[Finding]:
        for service in self._postconf.services().values():
            if service.program != "smtpd":
                continue
            milters = service.options.get("smtpd_milters")
            if self._settings.has_milter and milters == "" and service.key.startswith("smtp/"):
                yield Finding(
                    "milter-switched-off",
                    f"master.cf switches the milters of {service.key} off",
                    "our filters are not asked",
                    f"postconf {self._postconf.option}-PX {service.key}/smtpd_milters",
                )
            if service.options.get("smtpd_sasl_auth_enable") == "yes" and (
                service.options.get("smtpd_tls_auth_only", self._get("smtpd_tls_auth_only"))
                != "yes"
                and service.options.get("smtpd_tls_security_level") != "encrypt"
            ):
                yield Finding(
                    "password-in-clear",
                    f"{service.key} takes passwords without TLS",
                    "whoever listens on the wire has them",
                    f"postconf {self._postconf.option}-P '{service.key}/smtpd_tls_auth_only=yes'"
                    f" && {self._postconf.reload}",
                )

    def _routes_for_anybody(self) -> Iterator[Finding]:
        for route in self._domains.for_anybody:
            if not self._domains.declared:
                yield Finding(
                    "route-for-any-domain",
                    f"{route.file}:{route.line}: {route.format!r} takes mail for any domain",
                    "it makes no domain ours, so that Postfix cannot be told",
                    "give its host a pattern, or name the domains in the setting domains",
                )


def _seconds(value: str) -> float:
    found = re.fullmatch(r"(\d+)([smhdw]?)", value)
    if found is None:
        raise LamsonError(f"{value!r} is no time that Postfix knows")
    return int(found[1]) * _SECONDS[found[2] or "s"]
