"""The main.cf and master.cf of a private Postfix for tests. Text only: nothing runs here.

It depends on nothing under /etc/postfix. Whatever is not one of the tests' own domains goes to the
sink, without a DNS lookup, so that bounces and replies are seen where the outside world would be.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOSTNAME = "mail.postfix.test"

_MAIN: dict[str, str] = {
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "multi_instance_enable": "no",
    "inet_interfaces": "loopback-only",
    "inet_protocols": "ipv4",
    "myhostname": HOSTNAME,
    "myorigin": "$myhostname",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "local_recipient_maps": "",
    "local_transport": "error:5.1.1 this Postfix has no mailboxes",
    "alias_maps": "",
    "alias_database": "",
    "biff": "no",
    "append_dot_mydomain": "no",
    "notify_classes": "",
    # what Lamson asks of the Postfix in front of it
    "enable_long_queue_ids": "yes",
    "lmtp_send_xforward_command": "yes",
    "smtputf8_enable": "yes",
    # no names are looked up
    "smtp_dns_support_level": "disabled",
    "smtp_host_lookup": "native",
    "lmtp_dns_support_level": "disabled",
    "lmtp_host_lookup": "native",
    "smtpd_peername_lookup": "no",
    "smtp_tls_security_level": "none",
    "smtpd_tls_security_level": "none",
    # a retry within seconds
    "queue_run_delay": "2s",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "3s",
    "address_verify_negative_refresh_time": "1s",
    # no limit that a test could run into
    "smtpd_client_connection_count_limit": "0",
    "smtpd_error_sleep_time": "0",
    "smtpd_junk_command_limit": "100000",
    "in_flow_delay": "0",
}

# service type, private, unprivileged, chroot, wakeup, maxproc, command
_MASTER = """\
postlog    unix-dgram n - n -    1 postlogd
pickup     unix       n - n 1    1 pickup
cleanup    unix       n - n -    0 cleanup
qmgr       unix       n - n 2    1 qmgr
tlsmgr     unix       - - n 1000? 1 tlsmgr
rewrite    unix       - - n -    - trivial-rewrite
bounce     unix       - - n -    0 bounce
defer      unix       - - n -    0 bounce
trace      unix       - - n -    0 bounce
verify     unix       - - n -    1 verify
flush      unix       n - n 1000? 0 flush
proxymap   unix       - - n -    - proxymap
proxywrite unix       - - n -    1 proxymap
smtp       unix       - - n -    - smtp
relay      unix       - - n -    - smtp
showq      unix       n - n -    - showq
error      unix       - - n -    - error
retry      unix       - - n -    - error
discard    unix       - - n -    - discard
lmtp       unix       - - n -    - lmtp
anvil      unix       - - n -    1 anvil
scache     unix       - - n -    1 scache
"""

# The outside world: relays to our domains only, as port 25 of a real host does.
INCOMING: dict[str, str] = {
    "syslog_name": "postfix/smtpd-in",
    "mynetworks": "",
    "local_header_rewrite_clients": "",
    "smtpd_relay_restrictions": "reject_unauth_destination",
    "smtpd_recipient_restrictions": "",
}
# Where replies are handed in: loopback is trusted, nobody else.
SUBMISSION: dict[str, str] = {
    "syslog_name": "postfix/submission",
    "smtpd_relay_restrictions": "permit_mynetworks,reject",
    "smtpd_recipient_restrictions": "",
}


def main_cf(base: Path, sink: str, routes: Mapping[str, str], extra: Mapping[str, str]) -> str:
    """main.cf of an instance under ``base``.

    ``sink`` is a next hop such as ``[127.0.0.1]:2525``; ``routes`` maps a domain to its transport
    (``lmtp:inet:[127.0.0.1]:8823``); ``extra`` wins over everything.
    """
    settings = _MAIN | _version_settings()
    settings |= {
        "queue_directory": f"{base}/queue",
        "data_directory": f"{base}/data",
        "maillog_file_prefixes": str(base),
        "maillog_file": f"{base}/maillog",
        "relayhost": sink,
        "relay_domains": " ".join(routes),
        "transport_maps": f"texthash:{base}/etc/transport",
    }
    return "".join(f"{key} = {value}\n" for key, value in {**settings, **extra}.items())


def transport_map(routes: Mapping[str, str]) -> str:
    return "".join(f"{domain}  {transport}\n" for domain, transport in routes.items())


def smtpd_service(port: int, options: Mapping[str, str]) -> str:
    """The master.cf entry of one smtpd; values may contain blanks (Postfix >= 3.0 braces)."""
    lines = [f"127.0.0.1:{port} inet n - n - - smtpd"]
    lines += [f"  -o {{ {key} = {value} }}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


def master_cf(*services: str) -> str:
    return _MASTER + "".join(services)


def default_of(parameter: str) -> str | None:
    """The compiled-in default of a main.cf parameter; None where this Postfix does not know it."""
    answer = subprocess.run(
        ["postconf", "-d", parameter], capture_output=True, text=True, check=False
    )
    _, found, value = answer.stdout.partition("=")
    return value.strip() if found else None


def _version_settings() -> dict[str, str]:
    """What depends on the version. Before 3.6 compatibility levels are whole numbers.

    Some late patch levels of 3.5 to 3.8 know only `yes` for bare newlines, the last `normalize`.
    """
    numbers = re.findall(r"\d+", default_of("mail_version") or "")
    version = tuple(map(int, numbers[:2]))
    settings = {"compatibility_level": "3.6" if version >= (3, 6) else "2"}
    if default_of("smtpd_forbid_bare_newline_reject_code") is not None:
        settings["smtpd_forbid_bare_newline"] = "normalize"
    elif default_of("smtpd_forbid_bare_newline") is not None:
        settings["smtpd_forbid_bare_newline"] = "yes"
    return settings
