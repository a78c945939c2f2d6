"""The inspection: all that can be seen of a site without trying it, one check after the other.

For `lamson postfix check`. Whether the services answer is for `lamson.postfix.checks.probes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import known, submission
from lamson.postfix.checks import (
    access,
    admission,
    broken_tables,
    chroot,
    client,
    content,
    copies,
    domains,
    files,
    impostors,
    limits,
    milter,
    next_hop,
    outgoing,
    planned,
    recipients,
    relaying,
    rewriting,
    senders,
    services,
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
    rewriting.findings,
    recipients.unrouted,
    relaying.findings,
    impostors.findings,
    recipients.put_off,
    smtpd.newlines,
    next_hop.findings,
    client.findings,
    chroot.findings,
    sockets.findings,
    tables.findings,
    broken_tables.findings,
    milter.patience,
    milter.beside,
    content.findings,
    copies.findings,
    outgoing.findings,
    admission.findings,
    senders.findings,
    services.findings,
    limits.findings,
)
OF_EACH_SMTPD = (
    recipients.overridden,
    recipients.unlisted,
    access.findings,
    milter.findings,
    milter.passed_over,
    smtpd.passwords,
    smtpd.open_to_strangers,
    smtpd.certificates,
)


def findings(site: Site) -> Iterator[Finding]:
    """All that is wrong."""
    site.maps.expect(known.keys(site))
    for check in CHECKS:
        yield from check(site)
    for service in site.smtpds:
        for check_service in OF_EACH_SMTPD:
            yield from check_service(site, service)
    yield from submission.lacking(site)
