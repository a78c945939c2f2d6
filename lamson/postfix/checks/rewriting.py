"""What Postfix makes of our addresses on the way: asked of its own tables, for a known recipient.

An address that the application takes may be aliased away, made another one, or brought elsewhere;
one that it sends as may leave as another's. The tables are asked for a whole address, then without
its extension, then for its domain, as Postfix does (canonical(5), virtual(5), generic(5),
transport(5)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import known, transport
from lamson.postfix.checks.on_the_way import listed
from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding
from lamson.postfix.transport import Transport, is_one_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.postfix.site import Site

_OF_RECIPIENTS = ("recipient_canonical_maps", "canonical_maps", "virtual_alias_maps")
_OF_SENDERS = ("sender_canonical_maps", "canonical_maps", "smtp_generic_maps", "lmtp_generic_maps")
_RECIPIENTS, _SENDERS = {"envelope_recipient"}, {"envelope_sender", "header_sender"}
_GONE = "relocated_maps"
_ANY = "lamson-check@{}"


def findings(site: Site) -> Iterator[Finding]:
    """Each table that has something for an address of ours."""
    addresses = known.addresses(site)
    for name in _OF_RECIPIENTS:
        if _is_for(site, name, _RECIPIENTS):
            yield from _rewritten(site, name, addresses)
    yield from _masqueraded(site, addresses)
    for word in listed(site, _GONE):
        for address in (*addresses, *known.listed(site, word)):
            if _first(site, word, address, addresses):
                yield Finding(
                    "relocated-has-ours",
                    f"{word} in {_GONE} has {address}",
                    "Postfix refuses its mail: the user has moved",
                    f"by hand: take it out of {word}, or of its pattern",
                )
                break
    yield from _senders(site, addresses)
    yield from _elsewhere(site, addresses)


def _is_for(site: Site, name: str, what: set[str]) -> bool:
    """Whether it is asked about those addresses: some maps have a list of what they are for."""
    classes = site.get(name.replace("_maps", "_classes")) if "canonical" in name else ""
    return not classes or not what.isdisjoint(words(classes))


def _masqueraded(site: Site, addresses: Sequence[str]) -> Iterator[Finding]:
    """Masquerading strips what stands before a domain (ADDRESS_REWRITING_README)."""
    name, classes = "masquerade_domains", words(site.get("masquerade_classes"))
    excepted = {one.lower() for one in words(site.get("masquerade_exceptions"))}
    for what, code in ((_SENDERS, "sender-is-rewritten"), (_RECIPIENTS, "recipient-is-rewritten")):
        if what.isdisjoint(classes):
            continue
        for address in addresses:
            local, _, domain = address.rpartition("@")
            left = _stripped(words(site.get(name).lower()), domain)
            if left == domain or local.lower() in excepted:
                continue
            yield Finding(
                code,
                f"{name} makes {local}@{left} of {address}",
                "what is written to us goes there, as it does with answers to what we send",
                f"by hand: put !{domain} at the begin of {name}",
            )
            break


def _stripped(domains: Sequence[str], domain: str) -> str:
    """What is left of the domain, by the first of those that it is in."""
    for one in domains:
        parent = one.removeprefix("!")
        if domain == parent or domain.endswith(f".{parent}"):
            return domain if one.startswith("!") else parent
    return domain


def next_hop(site: Site, address: str) -> Transport:
    """Where Postfix brings mail for this address."""
    there = [bare(one) for one in words(site.get("transport_maps"))]
    usual = _named(site.get("relay_transport"))
    keys = _hops(site, address)
    for key in keys:
        for one in there:
            if found := site.maps.answers(one, keys).get(key):
                hop = _named(found)
                return Transport(hop.name or usual.name, hop.place or usual.place)
    return usual


def _hops(site: Site, address: str) -> list[str]:
    domain = address.partition("@")[2]
    return [*_forms(site, address), domain, *_parents(domain), "*"]


def _rewritten(site: Site, name: str, addresses: Sequence[str]) -> Iterator[Finding]:
    for word in listed(site, name):
        for address in (*addresses, *known.listed(site, word)):
            found = _first(site, word, address, addresses)
            if found is None or _leads_to_us(site, found, address):
                continue
            if name == "virtual_alias_maps" and site.maps.answers(bare(word), [_domain(address)]):
                continue  # all of the domain: that has a finding of its own
            yield Finding(
                "recipient-is-rewritten",
                f"{word} in {name} makes {found} of {address}",
                "its mail goes there, and not to the handler of the route",
                f"by hand: take it out of {word}, or of its pattern",
            )
            break


def _senders(site: Site, addresses: Sequence[str]) -> Iterator[Finding]:
    """Answers leave under the address that was written to."""
    for name in _OF_SENDERS:
        if not _is_for(site, name, _SENDERS):
            continue
        for word in listed(site, name):
            for address in (*addresses, *known.listed(site, word)):
                found = _first(site, word, address, addresses)
                if found is None or found.lower() in (address.lower(), _domain(address)):
                    continue
                yield Finding(
                    "sender-is-rewritten",
                    f"{word} in {name} makes {found} of {address}",
                    "our mail leaves under another address, so that answers to it do not come here",
                    f"by hand: leave our domains out of {word}, as by a rule before the others that"
                    f" gives {_domain(address)} as it is",
                )
                break


def _elsewhere(site: Site, addresses: Sequence[str]) -> Iterator[Finding]:
    """A transport map may have more for one address than for its domain, which the plan knows."""
    own = transport.of(site)
    tables = words(site.get("transport_maps"))
    singled_out = [one for table in tables for one in known.listed(site, table)]
    for address in dict.fromkeys((*addresses, *singled_out)):
        domain = address.partition("@")[2]
        if not _is_own(next_hop(site, _ANY.format(domain)), own):
            continue
        hop = next_hop(site, address)
        if not _is_own(hop, own):
            yield Finding(
                "transport-of-address",
                f"transport_maps has {hop.next_hop} for {address}",
                f"its mail goes there, and not to Lamson at {own.next_hop}",
                "by hand: take the address, or the pattern that it matches, out of transport_maps",
            )


def _is_own(hop: Transport, own: Transport) -> bool:
    return hop.name == own.name and is_one_place(hop.place, own.place)


def _leads_to_us(site: Site, found: str, address: str) -> bool:
    """It is among what it is made into, as where another gets a copy; or all that are ours, too."""
    made = [one.strip() for one in found.split(",") if one.strip()]
    if any(one.lower() == address.lower() for one in made):
        return True
    return all(site.router.match(one) for one in made)


def _first(site: Site, word: str, address: str, others: Sequence[str]) -> str | None:
    """What the table has for the address; it is asked for all of them at once."""
    keys, later = _keys(site, address), [key for one in others for key in _keys(site, one)]
    found = site.maps.answers(bare(word), keys, later)
    return next((found[key] for key in keys if key in found), None)


def _keys(site: Site, address: str) -> list[str]:
    return [*_forms(site, address), _domain(address)]


def _forms(site: Site, address: str) -> list[str]:
    """As it is, and without its extension."""
    local, _, domain = address.rpartition("@")
    found = [address]
    for sign in site.get("recipient_delimiter"):
        name, has, _ = local.partition(sign)
        if has and name:
            found.append(f"{name}@{domain}")
    return found


def _domain(address: str) -> str:
    return "@" + address.rpartition("@")[2]


def _parents(domain: str) -> list[str]:
    labels = domain.split(".")
    return [f".{'.'.join(labels[number:])}" for number in range(1, len(labels))]


def _named(hop: str) -> Transport:
    name, _, place = hop.partition(":")
    return Transport(name, place)
