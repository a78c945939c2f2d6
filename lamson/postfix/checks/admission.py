"""Whether the submission server lets our relay in: TLS, passwords, and how often one may come.

What it lacks of what `apply` would have given it is for `lamson.postfix.submission`; what it has
against senders and recipients for `senders` and `access`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lamson.net.endpoint import is_loopback
from lamson.postfix import submission
from lamson.postfix.checks import relaying
from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding
from lamson.postfix.match_list import items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_STAYS = "replies and forwards stay in the outbox"
_HERE = "127.0.0.1"
_MODERN = ("TLSv1.2", "TLSv1.3")
_COMMANDS = {"ehlo", "helo", "mail", "rcpt", "data", "bdat", "rset", "quit", "starttls", "auth"}
_RATES = (
    "smtpd_client_connection_count_limit",
    "smtpd_client_connection_rate_limit",
    "smtpd_client_message_rate_limit",
    "smtpd_client_recipient_rate_limit",
    "smtpd_client_new_tls_session_rate_limit",
    "smtpd_client_auth_rate_limit",
)
_SEVERAL = 100  # what a minute of ours may well bring


def findings(site: Site) -> Iterator[Finding]:
    """What keeps us out."""
    service = submission.existing(site)
    if submission.remark(site) is not None or service is None or service.program != "smtpd":
        return
    get = partial(site.effective, service)
    yield from _tls(site, service, get)
    yield from _passwords(site, service, get)
    yield from _protocol(site, service, get)
    yield from _rates(site, service, get)


def _tls(site: Site, service: Service, get: Callable[[str], str]) -> Iterator[Finding]:
    own = site.settings.submission.security
    is_wrapped = get("smtpd_tls_wrappermode") == "yes"
    is_wanted = get("smtpd_tls_security_level") == "encrypt" or get("smtpd_enforce_tls") == "yes"
    if is_wrapped and own != "tls":
        yield _found(service, "speaks TLS from the first octet", own, "smtpd_tls_wrappermode=no")
    elif is_wanted and own == "none":
        yield _found(service, "wants STARTTLS", own, "smtpd_tls_security_level=may")
    if own == "none":
        return
    if get("smtpd_tls_req_ccert") == "yes":
        yield _found(service, "wants a client's certificate", own, "smtpd_tls_req_ccert=no")
    name = "smtpd_tls_mandatory_protocols" if is_wanted else "smtpd_tls_protocols"
    refused = {one.lstrip("!") for one in words(get(name)) if one.startswith("!")}
    if refused >= set(_MODERN):
        yield _found(service, f"refuses {' and '.join(_MODERN)} ({name})", own, f"{name}=")


def _found(service: Service, what: str, security: str, setting: str) -> Finding:
    return Finding(
        "submission-tls-differs",
        f"{service.key}, where our replies go, {what}, and submission.security is {security}",
        _STAYS,
        f"by hand: submission.security in config/settings.py, or {setting} for that service",
    )


def _passwords(site: Site, service: Service, get: Callable[[str], str]) -> Iterator[Finding]:
    own = site.settings.submission
    if own.user is None:
        return
    usual = get("smtpd_sasl_security_options")
    options = usual if own.security == "none" else get("smtpd_sasl_tls_security_options") or usual
    keywords = words(get("smtpd_discard_ehlo_keywords").lower())
    excused = list(items(get("smtpd_sasl_exceptions_networks")))
    is_excused = any(relaying.is_in(one, _HERE) for one in excused)
    for is_wrong, problem, setting in (
        ("noplaintext" in words(options), f"takes no password as it is ({options})",
         "smtpd_sasl_tls_security_options=noanonymous"),
        ("auth" in keywords, "does not offer AUTH (smtpd_discard_ehlo_keywords)",
         "smtpd_discard_ehlo_keywords="),
        (is_loopback(own.host) and is_excused,
         "does not offer AUTH to this machine (smtpd_sasl_exceptions_networks)",
         "smtpd_sasl_exceptions_networks="),
    ):  # fmt: skip
        if is_wrong:
            yield Finding(
                "submission-takes-no-password",
                f"{service.key}, where our replies go, {problem}",
                _STAYS,
                f"by hand: {setting} for that service",
            )


def _protocol(site: Site, service: Service, get: Callable[[str], str]) -> Iterator[Finding]:
    own = site.settings.submission
    proxied = get("smtpd_upstream_proxy_protocol")
    keywords = words(get("smtpd_discard_ehlo_keywords").lower())
    refused = {one.lower() for one in words(get("smtpd_forbidden_commands"))}
    idle = {one.lower() for one in words(get("smtpd_noop_commands"))}
    taken = sorted((refused | idle) & _COMMANDS)
    filtered = [
        table
        for table in map(bare, words(get("smtpd_command_filter")))
        if site.maps.answers(table, ["MAIL FROM:<>", "DATA", "EHLO lamson-check.invalid"])
    ]
    for is_wrong, problem in (
        (proxied, f"expects a proxy's {proxied} first (smtpd_upstream_proxy_protocol)"),
        (taken, f"does not carry out {', '.join(taken).upper()}"),
        (filtered, f"makes other commands of ours ({', '.join(filtered)} in smtpd_command_filter)"),
        (own.security == "starttls" and "starttls" in keywords, "does not offer STARTTLS"),
    ):
        if is_wrong:
            yield Finding(
                "submission-protocol",
                f"{service.key}, where our replies go, {problem}",
                _STAYS,
                "by hand: give that service a value of its own, or us a service of our own",
            )


def _rates(site: Site, service: Service, get: Callable[[str], str]) -> Iterator[Finding]:
    """anvil(8) counts clients, but for those that are excepted."""
    here = is_loopback(site.settings.submission.host)
    excepted = items(get("smtpd_client_event_limit_exceptions"))
    if not here or any(relaying.is_in(one, _HERE) for one in excepted):
        return
    kept = site.settings.workers * site.settings.submission.connections
    for name in _RATES:
        value = get(name)
        least = kept if "count" in name else _SEVERAL
        if ("tls" in name or "auth" in name) and site.settings.submission.security == "none":
            continue
        if value.isdigit() and 0 < int(value) < least:
            yield Finding(
                "submission-is-limited",
                f"{name} is {value} for {service.key}, and this machine is not excepted",
                "replies and forwards wait in the outbox whenever there are several",
                site.mend.override(service.key, f"{name}=0"),
            )
