"""What may have changed a probe on its way: the parameters that have something to do with it.

Where a table is asked for the address and gives what arrived, that is the one; else those that are
set at all, among which a person has to look.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.message.probe import LONG_LINE, OCTETS
from lamson.postfix.configuration import bare, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lamson.message.probe import Caught, Difference
    from lamson.postfix.site import Site

_ADDRESSES = {
    "envelope sender": ("sender_canonical_maps", "canonical_maps", "lmtp_generic_maps"),
    "From": ("sender_canonical_maps", "canonical_maps", "lmtp_generic_maps"),
    "envelope recipient": ("recipient_canonical_maps", "canonical_maps", "virtual_alias_maps"),
    "To": ("recipient_canonical_maps", "canonical_maps", "lmtp_generic_maps"),
}
_MASKS = ("masquerade_domains", "remote_header_rewrite_domain")
_OF_HEADERS = ("header_checks", "lmtp_header_checks", "milter_header_checks")
_OF_BODIES = ("body_checks", "lmtp_body_checks")
_OTHERS = ("content_filter", "smtpd_proxy_filter", "smtpd_milters", "non_smtpd_milters")
_LINES = ("lmtp_line_length_limit", "smtp_line_length_limit")
_EIGHT_BIT = ("disable_mime_output_conversion", "lmtp_discard_ehlo_keywords")
_REASON = re.compile(r"(?im)^diagnostic-code:\s*(?:\w+;)?\s*(.*(?:\n[ \t].*)*)|said: (.*)")


def of(site: Site, one: Difference, sent: Caught, way: str) -> tuple[str, str]:
    """The cause, to be added to a sentence, and what to do about it."""
    names = _ADDRESSES.get(one.what, ())
    for name in names:
        if table := _table_for(site, name, sent.sender if "ender" in one.what else one.sent):
            return (
                f", by {table} in {name}",
                f"by hand: leave our addresses out of {table}",
            )
    if names:
        return _among(site, (*names, *_MASKS, *_OF_HEADERS, *_OTHERS))
    if one.what == LONG_LINE:
        return _among(site, (*_LINES, *_OTHERS))
    if one.what == OCTETS:
        return _among(site, (*_EIGHT_BIT, *_OTHERS))
    checks = _OF_HEADERS if one.what in sent.fields else _OF_BODIES
    if one.what == "Content-Transfer-Encoding":
        checks = (*_EIGHT_BIT, *checks)
    return _among(site, (*checks, *_OTHERS))


def of_bounce(body: str) -> str:
    """What a delivery status notification says, in a line."""
    found = _REASON.search(body)
    text = (found[1] or found[2]) if found else body
    return " ".join(text.split())[:300]


def _among(site: Site, names: Iterable[str]) -> tuple[str, str]:
    there = list(dict.fromkeys(_given(site, names)))
    if not there:
        return "", "by hand: look for a filter between Postfix and us"
    listed = ", ".join(there)
    return f"; {listed} may do it", f"by hand: look into {listed}"


def _given(site: Site, names: Iterable[str]) -> Iterator[str]:
    """Those that are set, in main.cf or by a service of master.cf for itself."""
    for name in names:
        if site.get(name) and name in site.configuration.explicit:
            yield name
        for service in site.services.values():
            if service.options.get(name):
                yield f"{name} of {service.key}"


def _table_for(site: Site, name: str, text: str) -> str | None:
    """The table of the list that has something for the address in the text."""
    found = re.search(r"[^<\s]+@[^>\s]+", text)
    if found is None:
        return None
    address = found[0]
    keys = [address, "@" + address.rpartition("@")[2]]
    for word in words(site.get(name)):
        if site.maps.answers(bare(word), keys):
            return word
    return None
