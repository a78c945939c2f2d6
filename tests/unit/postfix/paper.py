"""A Postfix configuration on paper, of which tests break one thing: no process is started.

`Paper` does what postconf(1) does with its options, for the parameters that are read here. That a
real postconf says and does the same is for tests/postfix/test_site.py.
"""

from __future__ import annotations

import re
import shlex
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from lamson.postfix import apply, plan, submission, transport, wanted
from lamson.postfix.checks import inspection
from lamson.postfix.configuration import Configuration
from lamson.postfix.mending import Mending
from lamson.postfix.site import Site
from lamson.routing.decorators import route, stateless
from lamson.routing.domains import Domains
from lamson.routing.module import HandlerModule
from lamson.routing.router import Router
from lamson.settings import Lmtp, Settings, Socketmap, Submission

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lamson.postfix.finding import Finding
    from lamson.postfix.postconf import Postconf
    from lamson.routing.signing import Signed

ROUTE = r".+@(?:lists|app)\.test"
WORLD = "127.0.0.1:2525"
DIRECTORY = "/etc/postfix"

# What this Postfix has where main.cf says nothing.
DEFAULTS = {
    "compatibility_level": "0",
    "config_directory": DIRECTORY,
    "defer_transports": "",
    "enable_long_queue_ids": "no",
    "inet_interfaces": "all",
    "inet_protocols": "all",
    "lmtp_data_done_timeout": "600s",
    "lmtp_destination_concurrency_limit": "$default_destination_concurrency_limit",
    "lmtp_destination_recipient_limit": "$default_destination_recipient_limit",
    "default_destination_concurrency_limit": "20",
    "default_destination_recipient_limit": "50",
    "lmtp_enforce_tls": "no",
    "lmtp_rcpt_timeout": "300s",
    "lmtp_send_xforward_command": "no",
    "lmtp_tls_policy_maps": "",
    "lmtp_tls_security_level": "",
    "lmtp_use_tls": "no",
    "local_recipient_maps": "proxy:unix:passwd.byname $alias_maps",
    "alias_maps": "hash:/etc/aliases, nis:mail.aliases",
    "master_service_disable": "",
    "message_size_limit": "10240000",
    "milter_default_action": "tempfail",
    "mydestination": "$myhostname, localhost.$mydomain, localhost",
    "mydomain": "localdomain",
    "myhostname": "localhost.localdomain",
    "mynetworks": "127.0.0.0/8",
    "parent_domain_matches_subdomains": "debug_peer_list,fast_flush_domains,mynetworks,"
    "permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
    "queue_directory": "/var/spool/postfix",
    "receive_override_options": "",
    "relay_domains": "",
    "relay_recipient_maps": "",
    "relay_transport": "relay",
    "smtpd_discard_ehlo_keywords": "",
    "smtpd_enforce_tls": "no",
    "smtpd_forbid_bare_newline": "no",
    "smtpd_forbid_bare_newline_exclusions": "$mynetworks",
    "smtpd_forbid_bare_newline_reject_code": "550",
    "smtpd_milters": "",
    "smtpd_recipient_restrictions": "",
    "smtpd_reject_unlisted_recipient": "yes",
    "smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated,"
    " defer_unauth_destination",
    "smtpd_sasl_auth_enable": "no",
    "smtpd_tls_auth_only": "no",
    "smtpd_tls_cert_file": "",
    "smtpd_tls_chain_files": "",
    "smtpd_tls_eccert_file": "",
    "smtpd_tls_security_level": "",
    "smtpd_tls_wrappermode": "no",
    "smtpd_use_tls": "no",
    "smtputf8_enable": "yes",
    "soft_bounce": "no",
    "transport_maps": "",
    "unknown_relay_recipient_reject_code": "550",
    "virtual_alias_domains": "$virtual_alias_maps",
    "virtual_alias_maps": "$virtual_maps",
    "virtual_mailbox_domains": "$virtual_mailbox_maps",
    "virtual_mailbox_maps": "",
}
MAIN = {
    "alias_maps": "",
    "compatibility_level": "3.6",
    "inet_interfaces": "loopback-only",
    "inet_protocols": "ipv4",
    "mydomain": "postfix.test",
    "myhostname": "mail.postfix.test",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "local_recipient_maps": "",
    "smtpd_tls_security_level": "none",
}
MASTER = f"""\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
tlsmgr unix - - n 1000? 1 tlsmgr
verify unix - - n - 1 verify
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
{WORLD} inet n - n - - smtpd -o mynetworks= -o smtpd_relay_restrictions=reject_unauth_destination
"""


def project(**changes: object) -> Settings:
    values: dict[str, object] = {
        "handlers": ["app"],
        "lmtp": Lmtp("127.0.0.1:8823"),
        "socketmap": Socketmap("127.0.0.1:8824"),
        "submission": Submission("127.0.0.1:10587"),
        "postfix": {"smtpd": WORLD},
        **changes,
    }
    return Settings.model_validate(values)


def make_router(formats: Sequence[str], **captures: Signed) -> Router:
    """The routes of a handler module with one handler, for all the ``formats``."""

    @stateless
    def handle(message: object, **captures: str) -> None: ...

    module = ModuleType("app")
    handle.__module__ = module.__name__
    for one in reversed(formats):  # decorators apply from the last to the first
        own: dict[str, Any] = {
            name: signed for name, signed in captures.items() if f"({name})" in one
        }
        route(one, **own)(handle)
    vars(module)[handle.__name__] = handle
    return Router([HandlerModule(module)], {})


class Tables:
    """The answers of tables: of those that are written out in main.cf, and of ``known`` ones."""

    def __init__(self, known: Mapping[str, Mapping[str, str]]) -> None:
        self._known = known

    def answers(self, table: str, keys: Sequence[str], later: Iterable[str] = ()) -> dict[str, str]:
        table = table.removeprefix("proxy:")
        kind, _, rest = table.partition(":")
        if kind == "regexp" and (rule := re.fullmatch(r"\{\{(!?)/(.*)/ (\S+)\}\}", rest)):
            return {
                key: rule[3]
                for key in keys
                if bool(re.search(rule[2], key, re.IGNORECASE)) != bool(rule[1])
            }
        if kind == "static":
            return dict.fromkeys(keys, rest)
        has = self._known.get(table, {})
        if kind == "inline":
            has = dict(word.split("=", 1) for word in re.split(r"[\s,]+", rest.strip("{} ")))
        return {key: has[key.lower()] for key in keys if key.lower() in has}

    def expect(self, keys: Iterable[str]) -> None:
        """Each answer is there already."""

    def problem(self, table: str) -> str:
        return ""

    def keys(self, table: str) -> set[str]:
        return set(self._known.get(table.removeprefix("proxy:"), ()))


class Paper:
    """One that is right for a project. To whom ``postconf`` is given it is a `Postconf`."""

    def __init__(self, directory: Path, settings: Settings | None = None) -> None:
        self.directory = directory
        self.mend = Mending()
        self.settings = settings or project()
        self.main = dict(MAIN)
        self.defaults = dict(DEFAULTS)
        self.master: dict[str, tuple[list[str], dict[str, str]]] = {}
        self.tables: dict[str, dict[str, str]] = {}
        for line in MASTER.splitlines():
            self.set_service("", line)
        self.has_routes(ROUTE)
        self.apply()

    def has_routes(self, *formats: str, domains: Sequence[str] = (), **captures: Signed) -> None:
        self.router = make_router(formats, **captures)
        self.domains = Domains(self.router.routes, domains)

    # What is seen of it.

    @property
    def postconf(self) -> Postconf:
        """Itself, for `apply` and `undo`: it has the methods that they call, and none of the rest.

        A real one looks for postconf(1) when it is made.
        """
        return cast("Postconf", self)

    def site(self) -> Site:
        maps = Tables(self.tables)
        return Site(
            self.settings, self.router, self.domains, self.directory, self.read(), maps, self.mend
        )

    def changes(self) -> list[plan.Change]:
        site = self.site()
        return plan.make(
            site, wanted.of_main(site), [*transport.wanted(site), *submission.wanted(site)]
        )

    def findings(self) -> list[Finding]:
        return list(inspection.findings(self.site()))

    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings()]

    def value(self, name: str) -> str | None:
        return self.site().value(name)

    # What is done to it.

    def apply(self) -> Path | None:
        return apply.carry_out(self.postconf, self.changes(), self.directory)

    def cure(self, finding: Finding) -> None:
        """Do what a finding says, but for the reload at its end."""
        cure = finding.fix.removesuffix(f" && {self.mend.reload}")
        assert cure != finding.fix, "the cure ends with a reload"
        program, *arguments = shlex.split(cure)
        assert program == "postconf"
        self.run(*arguments)

    def run(self, option: str, *arguments: str) -> None:
        """What ``postconf OPTION ...`` does."""
        for argument in arguments:
            name, _, value = (part.strip() for part in argument.partition("="))
            key, _, parameter = name.rpartition("/")
            if option == "-e":
                self.main[name] = value
            elif option == "-X":
                self.main.pop(name, None)
            elif option == "-M":
                self.set_service(name, value)
            elif option == "-MX":
                del self.master[name]
            elif option == "-F":
                assert parameter == "chroot"
                self.master[key][0][4] = value
            elif option == "-P":
                self.master[key][1][parameter] = value
            else:
                assert option == "-PX"
                del self.master[key][1][parameter]

    def set(self, values: Mapping[str, str]) -> None:
        self.main |= values

    def unset(self, names: Sequence[str]) -> None:
        self.run("-X", *names)

    def set_service(self, _: str, entry: str) -> None:
        fields, *options = re.split(r"\s-o\s+", entry)
        words = fields.split()
        overrides = dict(option.strip().split("=", 1) for option in options)
        self.master[f"{words[0]}/{words[1]}"] = (words, overrides)

    def set_override(self, name: str, value: str) -> None:
        self.run("-P", f"{name}={value}")

    def unset_override(self, name: str) -> None:
        self.run("-PX", name)

    def files(self) -> dict[str, bytes]:
        """There are none."""
        return {}

    def unset_service(self, key: str) -> None:
        self.run("-MX", key)

    def read(self) -> Configuration:
        limits = ("destination_concurrency_limit", "destination_recipient_limit")
        names = [key.partition("/")[0] for key in self.master if key.endswith("/unix")]
        own = {f"{name}_{one}": f"$default_{one}" for name in names for one in limits}
        values = own | self.defaults | self.main
        return Configuration.of(
            values=_lines({name: _expanded(value, values) for name, value in values.items()}),
            explicit=_lines(self.main),
            defaults=_lines(self.defaults),
            entries="".join(f"{self.entry(key)}\n" for key in self.master),
            overrides=_lines(
                {
                    f"{key}/{name}": _expanded(value, values)
                    for key, (_, options) in self.master.items()
                    for name, value in options.items()
                }
            ),
        )

    def entry(self, key: str) -> str:
        fields, options = self.master[key]
        return " ".join([*fields, *(f"-o {name}={value}" for name, value in options.items())])


def _lines(values: Mapping[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in values.items())


def _expanded(value: str, values: Mapping[str, str]) -> str:
    value = value.replace("$$", "\0")
    while "$" in value:
        value = re.sub(r"\$(\w+)", lambda found: values.get(found[1], ""), value)
        value = value.replace("$$", "\0")
    return value.replace("\0", "$")
