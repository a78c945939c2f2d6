"""The inspection: what is wrong with a Postfix configuration for this project.

For `lamson postfix check`. It reads the configuration and asks its tables; whether the services
answer is for `lamson.postfix.checks.probes`. Each method looks at one thing.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.errors import RouteError
from lamson.postfix import match_list, plan, submission, tables, wanted
from lamson.postfix.checks import next_hop, overrides, relaying
from lamson.postfix.finding import NOBODY, Finding
from lamson.postfix.postconf import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.postconf import Postconf, Service
    from lamson.routing.domains import Domains
    from lamson.routing.router import Router
    from lamson.settings.model import Settings

# Where the tables made from the routes may be named.
_MAPS = (
    "relay_recipient_maps",
    "transport_maps",
    "relay_domains",
    "local_recipient_maps",
    "virtual_mailbox_maps",
)


class Inspection:
    """One project and the Postfix in front of it.

    ``directory`` is where its tables are written.
    """

    def __init__(
        self,
        settings: Settings,
        router: Router,
        domains: Domains,
        postconf: Postconf,
        directory: Path,
    ) -> None:
        self._settings = settings
        self._router = router
        self._domains = domains
        self._postconf = postconf
        self._directory = directory

    def findings(self) -> Iterator[Finding]:
        """All that is wrong. Raises LamsonError where the configuration cannot be read."""
        yield from self._domains_can_be_told()
        yield from self._domain_classes()
        yield from self._taken_by_others()
        yield from self._relay()
        yield from self._newlines()
        yield from next_hop.findings(self._settings, self._postconf)
        yield from self._chroots()
        yield from self._tables_as_made_now()
        for service in self._postconf.services().values():
            if service.program == "smtpd":
                yield from self._filtered(service)
                yield from self._passwords(service)
        yield from submission.lacking(self._settings, self._postconf)

    def _get(self, name: str) -> str:
        return (self._postconf.value(name) or "").strip()

    def _fix(self, name: str, value: str) -> str:
        return f"postconf {self._postconf.option}-e '{name} = {value}' && {self._postconf.reload}"

    def _wanted(self) -> Iterator[Finding]:
        """Whatever `plan` would change."""
        main = wanted.of_main(self._settings, self._domains, self._postconf, self._directory)
        yield from overrides.findings(self._postconf, main, self._is_public)
        master = submission.wanted(self._settings, self._domains, self._postconf)
        for change in plan.make(self._postconf, main, master):
            missing = f"{change.name} is {self._get(change.name) or 'not set'}"
            if change.file == "master.cf":
                missing = f"master.cf has no service {change.name}"
                fix = f"postconf {self._postconf.option}-M '{change.name}={change.after}'"
                fix += f" && {self._postconf.reload}"
            else:
                fix = self._fix(change.name, change.after)
            if change.doubt:
                missing += f" (apply leaves it to you: {change.doubt})"
            yield Finding(change.name.partition("/")[0], missing, change.why, fix)

    def _domain_classes(self) -> Iterator[Finding]:
        """A domain is of one address class alone (ADDRESS_CLASS_README)."""
        for name in ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains"):
            value = self._get(name)
            for domain in sorted(self._domains.listed):
                word = match_list.deciding(self._postconf, name, value, domain)
                if word is None or word.startswith("!"):
                    continue
                brings = f"is in {name}" if word.lower() == domain else f"is in {word} of {name}"
                mend = match_list.without(value, word, domain, name, self._postconf.option)
                yield Finding(
                    f"{name}-has-ours",
                    f"{domain} {brings} as well as in relay_domains",
                    "Postfix then looks for its recipients among its own, and bounces our mail",
                    f"{mend} && {self._postconf.reload}",
                )

    def _taken_by_others(self) -> Iterator[Finding]:
        """A catch-all takes our mail away, or stands for recipients that there are not."""
        name, value = "virtual_alias_maps", self._get("virtual_alias_maps")
        option, reload = self._postconf.option, self._postconf.reload
        for domain in sorted(self._domains.listed):
            for word in words(value):
                if self._postconf.ask(word, f"@{domain}") is not None:
                    mend = match_list.without(value, word, f"@{domain}", name, option)
                    yield Finding(
                        "virtual-alias-takes-ours",
                        f"{word} in {name} has an address for all of @{domain}",
                        "mail for us goes there, also that for unknown recipients",
                        f"{mend} && {reload}",
                    )
        known = wanted.knows_recipients(self._settings, self._directory)
        maps = words(self._get("relay_recipient_maps"))
        for word in maps:
            if known(word) or word.removeprefix("proxy:").startswith("socketmap:"):
                continue
            for domain in sorted(self._domains.listed):
                keys = f"{NOBODY}@{domain}", f"@{domain}"
                is_routed = bool(self._router.match(keys[0]))
                if not is_routed and any(self._postconf.ask(word, k) is not None for k in keys):
                    left = ", ".join(one for one in maps if one != word)
                    yield Finding(
                        "anybody-is-a-recipient",
                        f"{word} in relay_recipient_maps has all of @{domain}",
                        "smtpd takes mail for unknown recipients, whose bounces go to forged"
                        " senders",
                        self._fix("relay_recipient_maps", left),
                    )
                    break

    def _relay(self) -> Iterator[Finding]:
        """Who may send through this Postfix to anywhere."""
        public = [
            service for service in self._postconf.services().values() if self._is_public(service)
        ]
        yield from relaying.loopholes(self._postconf, public)
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
        if "chunking" not in self._get("smtpd_discard_ehlo_keywords").lower() and (
            self._get("smtpd_forbid_bare_newline") == "reject"
        ):
            yield Finding(
                "newline-reject-and-bdat",
                "smtpd_forbid_bare_newline is reject, but BDAT is offered",
                "mail of Microsoft's servers, which sends bare newlines by BDAT, is refused",
                self._fix("smtpd_forbid_bare_newline", "normalize"),
            )

    def _chroots(self) -> Iterator[Finding]:
        """A chrooted client sees its queue directory alone."""
        queue = self._get("queue_directory")
        services = self._postconf.services()
        hop = self._settings.next_hop
        lmtp = services.get("lmtp/unix")
        if (
            lmtp is not None
            and lmtp.is_chrooted
            and hop.startswith("lmtp:unix:")
            and not _is_seen(queue, hop.removeprefix("lmtp:unix:"), self._settings.lmtp.unix_path)
        ):
            yield Finding(
                "lmtp-chroot",
                f"lmtp is chrooted to {queue} and cannot see {hop.removeprefix('lmtp:unix:')}",
                "mail for us stays in the queue: connect: No such file or directory",
                f"postconf {self._postconf.option}-F lmtp/unix/chroot=n && {self._postconf.reload}",
            )
        for service in services.values():
            if service.program == "smtpd" and service.is_chrooted:
                yield from self._chrooted_smtpd(service, queue)

    def _chrooted_smtpd(self, service: Service, queue: str) -> Iterator[Finding]:
        fix = (
            f"postconf {self._postconf.option}-F {service.key}/chroot=n && {self._postconf.reload}"
        )
        own = self._settings.socketmap
        asked = self._settings.lookup("") if own.listen or self._settings.postfix.lookups else ""
        is_proxied = f"proxy:{asked}" in self._get("relay_recipient_maps")
        path = asked.removeprefix("socketmap:unix:").removesuffix(":")
        if (
            asked.startswith("socketmap:unix:")
            and not is_proxied
            and not _is_seen(queue, path, own.unix_path if own.listen else None)
        ):
            yield Finding(
                "socketmap-chroot",
                f"smtpd ({service.key}) is chrooted and cannot see {path}",
                "all mail for us is deferred: Temporary lookup failure",
                fix,
            )
        if self._settings.has_milter:
            yield from self._chrooted_milter(service, queue, fix)

    def _chrooted_milter(self, service: Service, queue: str, fix: str) -> Iterator[Finding]:
        milters = words(relaying.effective(self._postconf, service, "smtpd_milters"))
        own = wanted.endpoint(self._settings.milter)
        is_ours = wanted.is_our_milter(self._settings.milter, self._postconf)
        asked = [one for one in map(plan.bare, milters) if is_ours(one)]
        if "smtpd_milters" not in service.options and not asked:
            asked = [own]  # as `apply` would write it
        if own.startswith("unix:") and own in asked:
            yield Finding(
                "milter-chroot",
                f"smtpd ({service.key}) is chrooted to {queue} and cannot see {own[5:]}",
                "all mail is deferred, or passes unfiltered: as milter_default_action says",
                fix,
            )

    def _tables_as_made_now(self) -> Iterator[Finding]:
        """The tables made from the routes, where they are used: there, and not out of date."""
        used = self._used_tables()
        if not used:
            return
        try:
            made = tables.make(self._router, self._domains, self._settings.next_hop)
        except RouteError as problem:
            yield Finding(
                "tables-cannot-be-made",
                f"Postfix uses {', '.join(map(str, used))}, and {problem}",
                "what Postfix knows of the routes is of another time",
                "use the socketmap: set socketmap in config/settings.py, then lamson postfix apply",
            )
            return
        contents = {table.name: table.content for table in made}
        for path, name in used.items():
            place = "" if path.parent == self._directory else f" -directory {path.parent}"
            mend = f"lamson postfix maps{place} && {self._postconf.reload}"
            if not path.exists():
                yield Finding("no-tables", f"{name} names {path}, which is not there",
                              "all mail for us is deferred", mend)  # fmt: skip
            elif path.read_bytes() != contents[path.name]:
                yield Finding(
                    "stale-tables",
                    f"{path} is not what the routes and settings would make now",
                    "Postfix refuses who has a route since, takes mail for who has none any more,"
                    " or brings it to where we were",
                    mend,
                )

    def _used_tables(self) -> dict[Path, str]:
        """The files of ours that Postfix is told to read, and the parameter that names each.

        They are where `lamson postfix maps` writes, or say who made them.
        """
        found: dict[Path, str] = {}
        for name in _MAPS:
            for word in words(self._get(name)):
                if path := tables.of_item(word, self._directory):
                    found.setdefault(path, name)
        return found

    def _filtered(self, service: Service) -> Iterator[Finding]:
        """The service that takes mail from the world asks our filters, or lets mail wait."""
        if not self._faces_the_world(service):
            return
        yield from self._recipients(service)
        yield from self._unlisted(service)
        if not self._settings.has_milter:
            return
        own = wanted.endpoint(self._settings.milter)
        milters = service.options.get("smtpd_milters")
        is_ours = wanted.is_our_milter(self._settings.milter, self._postconf)
        if milters is not None and not any(map(is_ours, map(plan.bare, words(milters)))):
            yield Finding(
                "milter-switched-off",
                f"master.cf has {service.key} ask {milters or 'no milters'}, not {own}",
                "our filters are not asked",
                f"postconf {self._postconf.option}-PX {service.key}/smtpd_milters"
                f" && {self._postconf.reload}",
            )
        action = service.options.get("milter_default_action")
        if action is not None and action not in wanted.SAFE_ACTIONS:
            yield Finding(
                "milter-default-action",
                f"master.cf has milter_default_action={action} for {service.key}",
                "mail passes unfiltered, or is lost, while the filters are down",
                f"postconf {self._postconf.option}-PX {service.key}/milter_default_action"
                f" && {self._postconf.reload}",
            )
        for item in words(milters if milters is not None else self._get("smtpd_milters")):
            if not is_ours(plan.bare(item)) or item == plan.bare(item):
                continue
            options = [word.replace(" ", "") for word in item[1:-1].split(",")]
            acts = [one.partition("=")[2] for one in options if one.startswith("default_action=")]
            if acts and acts[-1] not in wanted.SAFE_ACTIONS:
                others = [one for one in words(self._get("smtpd_milters")) if one != item]
                yield Finding(
                    "milter-default-action",
                    f"smtpd_milters has default_action={acts[-1]} for {own}",
                    "mail passes unfiltered, or is lost, while the filters are down",
                    self._fix("smtpd_milters", ", ".join([plan.bare(item), *others])),
                )

    def _unlisted(self, service: Service) -> Iterator[Finding]:
        """smtpd looks recipients up unless it is told not to."""
        name = "smtpd_reject_unlisted_recipient"
        get = partial(relaying.effective, self._postconf, service)
        asked = words(f"{get('smtpd_recipient_restrictions')} {get('smtpd_relay_restrictions')}")
        if get(name) == "no" and not {"reject_unlisted_recipient", "check_recipient_maps"} & {
            *asked
        }:
            is_own = name in service.options
            override = f"{service.key}/{name} && {self._postconf.reload}"
            yield Finding(
                "unlisted-recipients-are-taken",
                f"{name} is no" + (f" in master.cf, for {service.key}" if is_own else ""),
                "smtpd takes mail for unknown recipients, whose bounces go to forged senders",
                f"postconf {self._postconf.option}-PX {override}"
                if is_own
                else self._fix(name, "yes"),
            )

    def _recipients(self, service: Service) -> Iterator[Finding]:
        """An override must not take away what main.cf says of our recipients."""
        maps = service.options.get("relay_recipient_maps")
        own = wanted.recipients(self._settings, self._directory)
        known = [own, *(f"{kind}:{path}" for path in self._used_tables() for kind in tables.KINDS)]
        if maps is None or any(word.removeprefix("proxy:") in known for word in words(maps)):
            return
        yield Finding(
            "recipients-switched-off",
            f"master.cf has {service.key} look recipients up in {maps or 'no maps'}, not {own}",
            "smtpd takes mail for unknown recipients, whose bounces go to forged senders",
            f"postconf {self._postconf.option}-PX {service.key}/relay_recipient_maps"
            f" && {self._postconf.reload}",
        )

    def _is_public(self, service: Service) -> bool:
        is_smtpd = service.program == "smtpd"
        return relaying.is_public(service) or (is_smtpd and self._faces_the_world(service))

    def _faces_the_world(self, service: Service) -> bool:
        name, _, kind = service.key.rpartition("/")
        port = name.rpartition(":")[2]
        world = self._settings.postfix.smtpd.rpartition(":")[2]
        return kind in ("inet", "pass") and port in ("smtp", "smtpd", "25", world)

    def _passwords(self, service: Service) -> Iterator[Finding]:
        def effective(name: str) -> str:
            return service.options.get(name) or self._get(name)

        if effective("smtpd_sasl_auth_enable") == "yes" and (
            effective("smtpd_tls_auth_only") != "yes"
            and effective("smtpd_tls_security_level") != "encrypt"
            and effective("smtpd_tls_wrappermode") != "yes"
        ):
            yield Finding(
                "password-in-clear",
                f"{service.key} takes passwords without TLS",
                "whoever listens on the wire has them",
                f"postconf {self._postconf.option}-P '{service.key}/smtpd_tls_auth_only=yes'"
                f" && {self._postconf.reload}",
            )

    def _domains_can_be_told(self) -> Iterator[Finding]:
        """Whatever `plan` would change; before that, whether there can be a plan."""
        for route in () if self._domains.declared else self._domains.for_anybody:
            yield Finding(
                "route-for-any-domain",
                f"{route.file}:{route.line}: {route.format!r} takes mail for any domain",
                "it makes no domain ours, so that Postfix cannot be told",
                "give its host a pattern, or name the domains in the setting domains",
            )
        try:
            self._domains.complete()
        except RouteError as problem:
            if not self._domains.for_anybody:
                yield Finding(
                    "domains-without-end",
                    str(problem),
                    "Postfix cannot be told which domains are ours",
                    "give the host a pattern, or name the domains in the setting domains",
                )
            return
        yield from self._wanted()


def _is_seen(queue: str, path: str, socket: Path | None) -> bool:
    """A chrooted process that is told this path reaches our socket: it looks below the queue.

    Where Lamson runs elsewhere, as in a container, all that can be seen is the directory.
    """
    inside = Path(queue) / path.lstrip("/")
    return inside == socket or (Path(path) != socket and inside.parent.is_dir())
