"""What strangers may do: who may send to anywhere, at each smtpd(8) service of master.cf.

For `Inspection`, and for the probes, which have to know whether Postfix takes them for a stranger.
Values of master.cf win over those of main.cf. A table in mynetworks is asked with postmap(1).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from lamson.net.endpoint import is_loopback
from lamson.postfix.finding import Finding
from lamson.postfix.match_list import TABLE, items
from lamson.postfix.postconf import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.postconf import Postconf, Service

RESTRICTIONS = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
_CLOSING = {"reject", "defer", "reject_unauth_destination", "defer_unauth_destination"}
_OPENING = {"permit", "static:ok", "static:permit"}
_WIDEST_IPV4 = 8  # as long as 127.0.0.0/8 and 10.0.0.0/8
_WIDEST_IPV6 = 32  # what a provider has for all of its customers
_MAPPED = 96  # ::ffff:0:0/96 is all of IPv4
# Addresses that have nothing in common, and are nobody's (RFC 5737, RFC 3849, RFC 9637): a table
# that has all of a kind has everybody's.
_NOBODYS = (("192.0.2.1", "198.51.100.1", "203.0.113.1"), ("2001:db8::1", "3fff::1"))


def effective(postconf: Postconf, service: Service | None, name: str) -> str:
    """What the service has for the parameter: its own value, else that of main.cf."""
    own = service.options.get(name) if service else None
    return (postconf.value(name) or "" if own is None else own).strip()


def everybody(mynetworks: str, postconf: Postconf) -> list[str]:
    """The items of mynetworks that let in more than any one site has."""
    return [word for word in items(mynetworks) if _is_everybody(word, postconf)]


def _is_everybody(word: str, postconf: Postconf) -> bool:
    if TABLE.match(word):
        return any(all(postconf.ask(word, one) for one in nobodys) for nobodys in _NOBODYS)
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


def is_trusted(address: str, postconf: Postconf, service: Service | None) -> bool:
    """The service lets a client with this address send to anywhere, by permit_mynetworks."""
    lists = [words(effective(postconf, service, name).lower()) for name in RESTRICTIONS]
    if not any("permit_mynetworks" in one for one in lists):
        return False
    client = _network(address)
    if client is None:
        return False
    for item in items(effective(postconf, service, "mynetworks")):
        word = item.removeprefix("!")
        network = _network(word)
        if TABLE.match(word):
            matches = postconf.ask(word, address) is not None
        else:
            matches = network is not None and client.network_address in network
        if matches:  # the first decides
            return not item.startswith("!")
    return False


def loopholes(postconf: Postconf, services: list[Service]) -> Iterator[Finding]:
    """Where strangers may relay, or nobody may: by main.cf, then by each of the services."""
    value = postconf.value("mynetworks") or ""
    for network in everybody(value, postconf):
        yield Finding(
            "mynetworks-is-the-world",
            f"mynetworks has {network}",
            "strangers may relay through this Postfix",
            f"postconf {postconf.option}-e 'mynetworks = 127.0.0.0/8, [::1]/128'"
            f" && {postconf.reload}",
        )
    if not any(is_closed(effective(postconf, None, name)) for name in RESTRICTIONS):
        yield Finding(
            "open-relay-restrictions",
            "neither smtpd_relay_restrictions nor smtpd_recipient_restrictions has"
            " reject_unauth_destination",
            "smtpd refuses all mail, or relays for strangers",
            f"postconf {postconf.option}-e 'smtpd_relay_restrictions ="
            " permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination'"
            f" && {postconf.reload}",
        )
    for service in services:
        yield from _of_service(postconf, service)


def _of_service(postconf: Postconf, service: Service) -> Iterator[Finding]:
    for network in everybody(service.options.get("mynetworks", ""), postconf):
        yield Finding(
            "mynetworks-is-the-world",
            f"master.cf has mynetworks with {network} for {service.key}",
            "strangers may relay through this Postfix",
            f"postconf {postconf.option}-PX {service.key}/mynetworks && {postconf.reload}",
        )
    own = [name for name in RESTRICTIONS if name in service.options]
    if own and not any(is_closed(effective(postconf, service, name)) for name in RESTRICTIONS):
        yield Finding(
            "open-relay-restrictions",
            f"master.cf leaves {service.key} without reject_unauth_destination",
            "smtpd refuses all mail there, or relays for strangers",
            f"postconf {postconf.option}-PX "
            + " ".join(f"{service.key}/{name}" for name in own)
            + f" && {postconf.reload}",
        )


def is_public(service: Service) -> bool:
    """An smtpd that other machines can reach, as far as master.cf says."""
    name, _, kind = service.key.rpartition("/")
    host = name.rpartition(":")[0].strip("[]")
    return service.program == "smtpd" and kind in ("inet", "pass") and not is_loopback(host)
