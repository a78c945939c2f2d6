"""Tables that Postfix cannot open: it then defers all mail that it has to ask them about.

Whosoever they are: with one of them in a list, ours beside it is never heard.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding
from lamson.postfix.match_list import TABLE
from lamson.postfix.mending import MADE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site

_LISTS = (
    "body_checks",
    "canonical_maps",
    "header_checks",
    "mydestination",
    "mynetworks",
    "recipient_bcc_maps",
    "recipient_canonical_maps",
    "relay_domains",
    "relay_recipient_maps",
    "relocated_maps",
    "sender_bcc_maps",
    "sender_canonical_maps",
    "sender_dependent_default_transport_maps",
    "sender_dependent_relayhost_maps",
    "smtp_generic_maps",
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_sender_restrictions",
    "transport_maps",
    "virtual_alias_domains",
    "virtual_alias_maps",
    "virtual_mailbox_domains",
    "virtual_mailbox_maps",
)
_OF_FILES = (*MADE, "texthash", "regexp", "pcre", "cidr")


def findings(site: Site) -> Iterator[Finding]:
    """Each once, with the first list that names it."""
    named: dict[str, str] = {}
    for name in _LISTS:
        for word in words(site.get(name)):
            table = bare(word).removeprefix("!").removeprefix("proxy:")
            if TABLE.match(table) and table.partition(":")[0] in _OF_FILES:
                named.setdefault(table, name)
    for table, name in named.items():
        kind, _, path = table.partition(":")
        problem = site.maps.problem(table)
        if not problem:
            continue
        fix = f"by hand: put {path} in order, or take it out of {name}"
        if kind in MADE and Path(path).is_file():
            fix = site.mend.postmap(table)
        yield Finding(
            "table-cannot-be-opened",
            f"{table} in {name}: {problem}",
            "Postfix defers all mail that it has to ask it about: Temporary lookup failure",
            fix,
        )
