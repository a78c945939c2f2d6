"""What master.cf overrides of what this project wants of main.cf.

For the doctor. main.cf may be as it should be, and yet the very program that reads the value be
given another one with ``-o``. The milters and recipients of a service are for `Inspection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import plan
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lamson.postfix.postconf import Postconf, Service
    from lamson.postfix.wanted import Want

# The programs that read a value, of those that we want.
_READERS = {
    "smtpd": (
        "message_size_limit",
        "relay_domains",
        "smtpd_forbid_bare_newline",
        "smtpd_forbid_bare_newline_exclusions",
        "smtputf8_enable",
    ),
    "cleanup": ("enable_long_queue_ids", "message_size_limit"),
    "trivial-rewrite": ("relay_domains", "transport_maps"),
    "qmgr": ("lmtp_destination_concurrency_limit", "lmtp_destination_recipient_limit"),
    "lmtp": (
        "lmtp_data_done_timeout",
        "lmtp_rcpt_timeout",
        "lmtp_send_xforward_command",
        "smtputf8_enable",
    ),
}


def findings(
    postconf: Postconf, wants: Iterable[Want], is_public: Callable[[Service], bool]
) -> Iterator[Finding]:
    """The overrides with which a want is not met. Of smtpd, those that ``is_public`` tells."""
    by_name = {want.name: want for want in wants}
    for service in postconf.services().values():
        if service.program == "smtpd" and not is_public(service):
            continue
        for name in _READERS.get(service.program, ()):
            want, value = by_name.get(name), service.options.get(name)
            if want is None or value is None or plan.is_met(postconf, want, value.strip()):
                continue
            yield Finding(
                "master-cf-override",
                f"master.cf has {name}={value.strip()} for {service.key}",
                want.why,
                f"postconf {postconf.option}-PX {service.key}/{name} && {postconf.reload}",
            )
