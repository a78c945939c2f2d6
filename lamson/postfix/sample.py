"""A sample of the addresses that a Postfix knows: some of every domain and of every map.

For `lamson.postfix.proof`, which asks about them. Besides what stands in the maps there are
postmaster and a name that nobody has in each domain, and one in a domain that is nobody's. What
was not taken, or could not be listed, is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain, pairwise, zip_longest
from typing import TYPE_CHECKING

from lamson.postfix import listing, match_list
from lamson.postfix.configuration import bare, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.postfix.site import Site

MOST = 2_000
MOST_OF_A_MAP = 200
NOBODY = "lamson-proof-nobody"
ELSEWHERE = "lamson-proof.invalid"

_LISTS = ("mydestination", "relay_domains", "virtual_alias_domains", "virtual_mailbox_domains")
_MAPS = (
    "transport_maps", "virtual_alias_maps", "virtual_mailbox_maps", "relay_recipient_maps",
    "recipient_canonical_maps", "canonical_maps", "relocated_maps",
)  # fmt: skip
_LOCAL = ("alias_maps", "local_recipient_maps")
_LEAD_ON = ("virtual_alias_maps", "alias_maps", "recipient_canonical_maps", "canonical_maps")
"""Maps of which the values are addresses, too."""
_RESTRICTIONS = ("smtpd_recipient_restrictions", "smtpd_relay_restrictions")
_ADDRESS = re.compile(r"[^\s@<>\"\\:,;|/]+@[\w-]+(\.[\w-]+)*")
_DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)+")
_USER = re.compile(r"[^\s@<>\"\\:,;|/*]+")


@dataclass(frozen=True, slots=True)
class Sample:
    """``addresses`` to ask about; ``notes`` say what they leave out."""

    addresses: list[str]
    notes: list[str]


def of(site: Site) -> Sample:
    """What there is in the configuration of the site."""
    notes: list[str] = []
    sources = [_spread([f"{NOBODY}@{ELSEWHERE}"])]
    for name in _LISTS:
        items = [one.removeprefix("!") for one in match_list.items(site.get(name))]
        written = [one for one in items if not match_list.TABLE.match(one)]
        sources.append(_spread([one for item in written for one in _of_key(site, name, item)]))
        sources += [_addresses(site, name, one, notes) for one in items if one not in written]
    for name in (*_MAPS, *_LOCAL):
        sources += [_addresses(site, name, bare(one), notes) for one in words(site.get(name))]
    for item in dict.fromkeys(_access(site)):
        sources.append(_addresses(site, "check_recipient_access", item, notes))
    # One of each in turn, so that a large one takes no place from a small one.
    turns = chain.from_iterable(zip_longest(*sources))
    found = list(dict.fromkeys(one for one in turns if one is not None))
    if len(found) > MOST:
        notes.append(f"of {len(found)} addresses {MOST} are asked about; name others by -probe")
    return Sample(found[:MOST], list(dict.fromkeys(notes)))


def _access(site: Site) -> Iterator[str]:
    places = (None, *site.smtpds)
    for value in (site.effective(place, name) for place in places for name in _RESTRICTIONS):
        listed = words(value)
        for word, following in pairwise(listed):
            if word == "check_recipient_access":
                yield following


def _addresses(site: Site, name: str, item: str, notes: list[str]) -> list[str]:
    """At most `MOST_OF_A_MAP` addresses for an item of the parameter."""
    if not match_list.TABLE.match(item):
        return _of_key(site, name, item)
    place = ("-c", str(site.configuration.directory))
    listed = listing.of(item, place, MOST_OF_A_MAP)
    notes += [
        f"{name}: {one} cannot be listed; name addresses of it with -probe"
        for one in listed.unlisted
    ]
    if listed.total > len(listed.pairs):
        notes.append(f"{name}: {item} has {listed.total} keys, of which a sample was taken")
    found: list[str] = []
    for key, value in listed.pairs:
        found += _of_key(site, name, key)
        if name in _LEAD_ON:
            found += [one for one in words(value) if _ADDRESS.fullmatch(one)]
    return _spread(found)


def _spread(found: Sequence[str]) -> list[str]:
    """As they come, or some of them with the same distance."""
    known = list(dict.fromkeys(found))
    step = -(-len(known) // MOST_OF_A_MAP) or 1
    return known[::step]


def _of_key(site: Site, name: str, key: str) -> list[str]:
    """Addresses for a key of a table or an item of a list: an address, a domain, or a user."""
    if name in _LOCAL and "@" not in key:
        return [f"{key}@{_home(site)}"] if _USER.fullmatch(key) else []
    if _ADDRESS.fullmatch(key):
        return [key, *_in_domain(key.rpartition("@")[2])]
    domain = key.removeprefix("@")
    if domain.startswith(".") and _DOMAIN.fullmatch(domain[1:]):
        return [f"{NOBODY}@lamson-proof{domain}"]
    if _DOMAIN.fullmatch(domain) or (name in _LISTS and _USER.fullmatch(domain)):
        return _in_domain(domain)
    if _USER.fullmatch(key) and name not in _LISTS:
        return [f"{key}@{_home(site)}"]
    return []


def _in_domain(domain: str) -> list[str]:
    return [f"{NOBODY}@{domain}", f"postmaster@{domain}"]


def _home(site: Site) -> str:
    """The domain of the users of this machine."""
    own = [one for one in words(site.get("mydestination")) if _DOMAIN.fullmatch(one)]
    return own[0] if own else site.get("myorigin") or site.get("myhostname")
