"""The inspection: all that can be seen of a site without trying it, one check after the other.

For `lamson postfix check`. Whether the services answer is for `lamson.postfix.checks.probes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import submission
from lamson.postfix.checks import (
    chroot,
    domains,
    files,
    milter,
    next_hop,
    planned,
    recipients,
    relaying,
    smtpd,
    sockets,
    tables,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.finding import Finding
    from lamson.postfix.site import Site

CHECKS = (
    files.unfinished,
    domains.told,
    planned.findings,
    domains.classes,
    recipients.taken_by_others,
    relaying.findings,
    recipients.put_off,
    smtpd.newlines,
    next_hop.findings,
    chroot.findings,
    sockets.findings,
    tables.findings,
)
OF_EACH_SMTPD = (
    recipients.overridden,
    recipients.unlisted,
    milter.findings,
    smtpd.passwords,
)


def findings(site: Site) -> Iterator[Finding]:
    """All that is wrong."""
    for check in CHECKS:
        yield from check(site)
    for service in site.smtpds:
        for check_service in OF_EACH_SMTPD:
            yield from check_service(site, service)
    yield from submission.lacking(site)
