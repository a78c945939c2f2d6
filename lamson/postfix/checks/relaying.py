"""What strangers may do: who may send to anywhere, at each smtpd(8) service of master.cf.

For the inspection, and for the probes, which have to know whether Postfix takes them for
strangers. Values of master.cf win over those of main.cf. A table in mynetworks is asked for
addresses.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from lamson.postfix.checks.smtpd import is_public
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding
from lamson.postfix.match_list import TABLE, items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

RESTRICTIONS = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
CLOSED = "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"
_CLOSING = {"reject", "defer", "reject_unauth_destination", "defer_unauth_destination"}
_OPENING = {"permit", "static:ok", "static:permit"}
# Who is let in by one of these is chosen, by somebody who will know.
_CHOOSING = re.compile(r"check_.*_access|permit_(tls|dnswl|rhswl|mx)")
_WIDEST_IPV4 = 8  # as long as 127.0.0.0/8 and 10.0.0.0/8
_WIDEST_IPV6 = 32  # what a provider has for all of its customers
_MAPPED = 96  # ::ffff:0:0/96 is all of IPv4
# Addresses that have nothing in common, and are nobody's (RFC 5737, RFC 3849, RFC 9637): a table
# that has all of a kind has everybody's.
_NOBODYS = (("192.0.2.1", "198.51.100.1", "203.0.113.1"), ("2001:db8::1", "3fff::1"))


def everybody(site: Site, mynetworks: str) -> list[str]:
    """The items of mynetworks that let in more than any one site has."""
    return [word for word in items(mynetworks) if _is_everybody(site, word)]


def _is_everybody(site: Site, word: str) -> bool:
    if TABLE.match(word):
        found = site.maps.answers(word, [one for nobodys in _NOBODYS for one in nobodys])
        return any(found.keys() >= set(nobodys) for nobodys in _NOBODYS)
    network = _network(word)
    if network is None:
        return False
    widest = _WIDEST_IPV4 if network.version == 4 else _WIDEST_IPV6
    return network.prefixlen < widest


def _network(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        network = ipaddress.ip_network(word.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None
    if network.version == 6 and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.ip_network((mapped, network.prefixlen - _MAPPED), strict=False)
    return network


def is_closed(restrictions: str) -> bool:
    """The list refuses foreign recipients before it permits everybody."""
    before = ""
    for word in words(restrictions):
        if word.lower() in _OPENING:
            return False
        if word.lower() in _CLOSING and before != "warn_if_reject":
            return True
        before = word.lower()
    return False


def is_trusted(site: Site, address: str, service: Service | None) -> bool:
    """The service lets a client with this address send to anywhere, by permit_mynetworks."""
    lists = [words(site.effective(service, name).lower()) for name in RESTRICTIONS]
    if not any("permit_mynetworks" in one for one in lists):
        return False
    return is_in_mynetworks(site, address, service)


def is_in_mynetworks(site: Site, address: str, service: Service | None) -> bool:
    """The service has this address in its mynetworks."""
    client = _network(address)
    if client is None:
        return False
    for item in items(site.effective(service, "mynetworks")):
        word = item.removeprefix("!")
        network = _network(word)
        if TABLE.match(word):
            matches = bool(site.maps.answers(word, [address]))
        else:
            matches = network is not None and client.network_address in network
        if matches:  # the first decides
            return not item.startswith("!")
    return False


def is_in(word: str, address: str) -> bool:
    """An item of a list of networks has this address; a table may have it."""
    network, client = _network(word), _network(address)
    if network is None or client is None:
        return bool(TABLE.match(word))
    return network.version == client.version and client.network_address in network


def is_this_machine(word: str) -> bool:
    """An item of mynetworks that has loopback addresses alone."""
    network = _network(word.removeprefix("!"))
    return network is not None and network.is_loopback


def findings(site: Site) -> Iterator[Finding]:
    """Where strangers may relay, or nobody may: by main.cf, then by each service that is public."""
    for network in everybody(site, site.get("mynetworks")):
        yield Finding(
            "mynetworks-is-the-world",
            f"mynetworks has {network}",
            "strangers may relay through this Postfix",
            _without(site, network),
        )
    if not any(is_closed(site.get(name)) for name in RESTRICTIONS):
        yield Finding(
            "open-relay-restrictions",
            "neither smtpd_relay_restrictions nor smtpd_recipient_restrictions has"
            " reject_unauth_destination",
            "smtpd refuses all mail, or relays for strangers",
            _closing(site, None),
        )
    for service in site.smtpds:
        if is_public(site, service):
            yield from _of_service(site, service)


def _without(site: Site, network: str) -> str:
    """The others stay trusted."""
    listed = site.written("mynetworks")
    if network not in listed:
        return f"by hand: take {network} out of what mynetworks names"
    left = [one for item, one in listed.items() if item != network]
    return site.mend.set("mynetworks", ", ".join(left or ["127.0.0.0/8", "[::1]/128"]))


def _without_own(site: Site, service: Service, network: str) -> str:
    listed = words(service.options["mynetworks"])
    if network not in listed:
        return f"by hand: take {network} out of what mynetworks of {service.key} names"
    left = [one for one in listed if one not in everybody(site, service.options["mynetworks"])]
    if not left:
        return site.mend.no_override(service.key, "mynetworks")
    return site.mend.override(service.key, f"mynetworks={','.join(left)}")


def _of_service(site: Site, service: Service) -> Iterator[Finding]:
    for network in everybody(site, service.options.get("mynetworks", "")):
        yield Finding(
            "mynetworks-is-the-world",
            f"master.cf has mynetworks with {network} for {service.key}",
            "strangers may relay through this Postfix",
            _without_own(site, service, network),
        )
    own = [name for name in RESTRICTIONS if name in service.options]
    if own and not any(is_closed(site.effective(service, name)) for name in RESTRICTIONS):
        yield Finding(
            "open-relay-restrictions",
            f"master.cf leaves {service.key} without reject_unauth_destination",
            "smtpd refuses all mail there, or relays for strangers",
            _closing(site, service),
        )


def _closing(site: Site, service: Service | None) -> str:
    """Ends the list with what refuses strangers; whom it lets in before that, it still lets in."""
    own = service.options if service else site.configuration.explicit
    lists = {name: words(own.get(name, "")) for name in RESTRICTIONS}
    name = next((one for one, listed in lists.items() if listed), RESTRICTIONS[0])
    others = {one for other in RESTRICTIONS if other != name for one in lists[other]}
    kept = lists[name]
    for number, word in enumerate(kept):
        if word.lower() in _OPENING:
            is_table = number > 0 and word.lower() != "permit"
            kept = kept[: number - is_table]
            break
    listed = [*(one for one in words(CLOSED)[:-1] if one not in kept), *kept, words(CLOSED)[-1]]
    is_chosen = any(_CHOOSING.match(one.lower()) for one in others)
    if is_chosen or (service and any(" " in one for one in listed)):  # postconf -P takes none
        return f"by hand: end {name} with {listed[-1]}, after whom it has to let in"
    if service is None:
        return site.mend.set(name, ", ".join(listed))
    return site.mend.override(service.key, f"{name}={','.join(listed)}")
