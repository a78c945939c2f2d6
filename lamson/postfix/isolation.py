"""A configuration of Postfix's changed so that it can be asked, and can do nothing else.

For `lamson.postfix.private_copy`. No port, no service that delivers or tells others; limits that
many questions do not reach; refusals that are for good, so that 4xx means a lookup that failed.
What decides about a recipient stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.postfix import restrictions
from lamson.postfix.configuration import words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lamson.postfix.configuration import Configuration, Service

# By key, the columns of master.cf from "private" on: what smtpd and trivial-rewrite need.
_SERVICES = {
    "postlog/unix-dgram": "n - n - 1 postlogd",
    "rewrite/unix": "- - n - - trivial-rewrite",
    "cleanup/unix": "n - n - 0 cleanup",
    "proxymap/unix": "- - n - - proxymap",
    "anvil/unix": "- - n - 1 anvil",
}
_EMPTY = (
    "multi_instance_directories", "multi_instance_group", "multi_instance_name",
    "master_service_disable", "smtpd_milters", "smtpd_milter_maps", "non_smtpd_milters",
    "smtpd_proxy_filter", "smtpd_upstream_proxy_protocol", "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions", "address_verify_map",
    "smtpd_tls_session_cache_database", "smtpd_discard_ehlo_keywords", "debug_peer_list",
    "smtpd_discard_ehlo_keyword_address_maps", "smtpd_reject_footer", "smtpd_reject_footer_maps",
    "smtpd_log_access_permit_actions", "header_checks", "mime_header_checks",
    "nested_header_checks", "body_checks",
)  # fmt: skip
_NO = (
    "multi_instance_enable", "smtpd_use_tls", "smtpd_enforce_tls", "smtpd_tls_auth_only",
    "smtpd_tls_wrappermode", "smtpd_sasl_auth_enable", "soft_bounce", "smtpd_peername_lookup",
)  # fmt: skip
_NONE = (
    "smtpd_client_connection_count_limit", "smtpd_client_connection_rate_limit",
    "smtpd_client_message_rate_limit", "smtpd_client_recipient_rate_limit",
    "smtpd_client_new_tls_session_rate_limit", "smtpd_client_auth_rate_limit",
    "smtpd_error_sleep_time", "queue_minfree", "in_flow_delay",
)  # fmt: skip
_MANY = (
    "smtpd_recipient_limit", "smtpd_hard_error_limit", "smtpd_soft_error_limit",
    "smtpd_junk_command_limit", "message_size_limit",
)  # fmt: skip
_UNKNOWN = (
    "unknown_address_reject_code", "unknown_local_recipient_reject_code",
    "unknown_relay_recipient_reject_code", "unknown_virtual_alias_reject_code",
    "unknown_virtual_mailbox_reject_code",
)  # fmt: skip
_REFUSED = ("relay_domains_reject_code", "reject_code", "access_map_reject_code")
_OWN = {
    **dict.fromkeys(_EMPTY, ""),
    **dict.fromkeys(_NO, "no"),
    **dict.fromkeys(_NONE, "0"),
    **dict.fromkeys(_MANY, "100000"),
    **dict.fromkeys(_UNKNOWN, "550"),
    **dict.fromkeys(_REFUSED, "554"),
    "cleanup_service_name": "cleanup",
    "rewrite_service_name": "rewrite",
    "smtpd_authorized_xclient_hosts": "127.0.0.1",
    "smtpd_delay_reject": "yes",
    "smtpd_tls_security_level": "none",
}


@dataclass(frozen=True, slots=True)
class Isolated:
    """``main`` is what main.cf has to say besides, ``master`` the text of master.cf.

    ``smtpds`` are the names of the sockets of its smtpd services, by key; those that would answer
    alike have one together. ``left_out`` are the restrictions that the copy does without.
    """

    main: Mapping[str, str]
    master: str
    smtpds: Mapping[str, str]
    left_out: list[str]


def of(there: Configuration, base: Path) -> Isolated:
    """Of this configuration, for a copy whose directories lie in ``base``."""
    left_out: list[str] = []
    main = {name: value for name, value in _OWN.items() if name in there.values}
    main |= {
        "queue_directory": str(base / "queue"),
        "data_directory": str(base / "data"),
        "maillog_file": str(base / "maillog"),
        "maillog_file_prefixes": str(base),
    }
    lists = {*restrictions.LISTS, *words(there.values.get("smtpd_restriction_classes", ""))}
    for name in sorted(lists & there.values.keys()):
        kept, without = restrictions.without_others(there.values[name])
        main[name] = kept.replace("$", "$$")
        left_out += without
    lines = []
    for key, columns in _SERVICES.items():
        known = there.services.get(key)
        lines.append(_line(key, columns, _options(known, main) if known else {}))
    found: dict[str, list[str]] = {}
    for service in there.services.values():
        if service.program != "smtpd":
            continue
        options = _options(service, main)
        for name in lists & options.keys():
            options[name], without = restrictions.without_others(options[name])
            left_out += without
        line = _line("{}/unix", "- - n - - smtpd", options)
        found.setdefault(line, []).append(service.key)
    sockets: dict[str, str] = {}
    for number, (line, keys) in enumerate(found.items()):
        sockets |= dict.fromkeys(keys, f"proof-{number}")
        lines.append(line.replace("{}", f"proof-{number}", 1))
    return Isolated(main, "".join(lines), sockets, list(dict.fromkeys(left_out)))


def _options(service: Service, main: Mapping[str, str]) -> dict[str, str]:
    """Those of its own that do not undo what the copy needs."""
    lists = restrictions.LISTS
    return {
        name: value
        for name, value in service.options.items()
        if (name not in main or name in lists)
        and name != "syslog_name"
        and not name.startswith(("smtpd_tls_", "smtpd_sasl_", "milter_"))
    }


def _line(key: str, columns: str, options: Mapping[str, str]) -> str:
    name, _, kind = key.partition("/")
    given = "".join(
        f"\n  -o {{ {one} = {value.replace('$', '$$')} }}" for one, value in sorted(options.items())
    )
    return f"{name} {kind} {columns}{given}\n"
