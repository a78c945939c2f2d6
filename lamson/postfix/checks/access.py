"""Restrictions of smtpd that bar the way: of strangers to us, and of our answers to strangers.

`restrictions` goes through them. Strangers are looked at where mail comes in from the world, our
answers at the submission server, which has the restrictions of the site but where it says others.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lamson.net.endpoint import is_loopback
from lamson.postfix import known, submission
from lamson.postfix.checks import relaying, restrictions
from lamson.postfix.checks.action import DEFERRED, REFUSED
from lamson.postfix.checks.answers import ELSEWHERE
from lamson.postfix.checks.restrictions import LISTS, Transaction, Verdict
from lamson.postfix.checks.smtpd import faces_the_world
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding
from lamson.postfix.match_list import TABLE, items

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

# Addresses, names and senders that have nothing in common (RFC 5737, RFC 2606).
_CLIENTS = (("192.0.2.1",), ("198.51.100.1",), ("203.0.113.1",))
_HELOS = ("mx.example.net", "mail.example.org")
_SENDERS = ("zed@example.net", "ann@mail.example.org")
_SEVERAL = 10
_HERE = ("localhost", "127.0.0.1")
_OF_NULL_SENDERS = "reject_multi_recipient_bounce"


def findings(site: Site, service: Service) -> Iterator[Finding]:
    """What the service has against mail that is well."""
    if faces_the_world(site, service):
        yield from _to_us(site, service)
        yield from _relayed(site, service)
    if submission.is_own(site, service):
        yield from _from_us(site, service)


def _to_us(site: Site, service: Service) -> Iterator[Finding]:
    make = partial(Transaction, _CLIENTS, _HELOS, _SENDERS, is_trusted=False, has_tls=True)
    tables = {word for name in LISTS for word in words(site.effective(service, name))}
    singled_out = [one for table in sorted(tables) for one in known.listed(site, table)]
    addresses = list(dict.fromkeys((*known.addresses(site), *singled_out)))
    found = [
        (address, verdict)
        for address in addresses
        for verdict in restrictions.verdicts(site, service, make(address))
    ]
    found += [
        (f"{address}, with the null sender of bounces and receipts", verdict)
        for address in addresses[:1]
        for verdict in restrictions.verdicts(
            site, service, replace(make(address), senders=restrictions.NULL_SENDER)
        )
    ]
    for address, verdict in _once(found):
        if verdict.asked not in ("", "everybody"):
            yield _named(site, service, verdict, f"mail for {address}")
        elif verdict.asked or (verdict.is_of_all and _is_alone(site, service)):
            yield Finding(
                "strangers-are-refused",
                f"{verdict.restriction} in {verdict.name} ends the way of everybody at"
                f" {service.key}",
                f"of mail that comes in from the world: {verdict.effect.why}",
                f"by hand: {verdict.restriction} is for a service that strangers do not need",
            )


def _relayed(site: Site, service: Service) -> Iterator[Finding]:
    """Who says that he is one of us is let through to anywhere, before anybody looks further."""
    if not any(relaying.is_closed(site.effective(service, name)) for name in relaying.RESTRICTIONS):
        return  # which is said of everybody
    written = [*items(site.get("relay_domains")), *items(site.get("mydestination"))]
    domains = [one for one in (*sorted(site.domains.listed), *written) if "." in one.strip(".!")]
    names = [one for one in dict.fromkeys(domains) if not TABLE.match(one.strip("!"))][:_SEVERAL]
    make = partial(Transaction, _CLIENTS, recipient=ELSEWHERE, is_trusted=False, is_relayed=True)
    said = [(f"from {one}", make(_HELOS, [f"lamson-check@{one}"])) for one in names]
    said += [(one, make([one], _SENDERS)) for one in (site.get("myhostname"), *names)]
    for who, transaction in said:
        against = restrictions.verdicts(site, service, replace(transaction, has_tls=True))
        if not any(one.effect in (REFUSED, DEFERRED) for one in against):
            yield Finding(
                "open-relay-restrictions",
                f"{service.key} relays for whoever says that he is {who}",
                "anybody may say so: strangers send to anywhere",
                "by hand: reject_unauth_destination has to stand before the table that lets them in"
                f" ({' and '.join(relaying.RESTRICTIONS)})",
            )
            return


def _from_us(site: Site, service: Service) -> Iterator[Finding]:
    own = site.settings.submission
    is_here = is_loopback(own.host)
    hostname = site.settings.lmtp.hostname or socket.getfqdn()
    make = partial(
        Transaction,
        [_HERE] if is_here else (),
        [hostname],
        recipient=ELSEWHERE,
        is_trusted=not is_here or relaying.is_in_mynetworks(site, "127.0.0.1", service),
        is_authenticated=own.user is not None,
        is_relayed=True,
        has_tls=own.security != "none",
    )
    domains = (f"lamson-check@{one}" for one in sorted(site.domains.listed))
    found = [
        (address, verdict)
        for address in dict.fromkeys((*known.addresses(site), *domains))
        for verdict in restrictions.verdicts(site, service, make([address]))
    ]
    lacks = " ".join(one.problem for one in submission.lacking(site))
    for address, verdict in _once(found):
        if f" {verdict.name}=" not in lacks:  # which has been said, with what it should be
            yield _named(site, service, verdict, f"what we send as {address}")
    yield from _of_null_senders(site, service, make)


def _of_null_senders(site: Site, service: Service, make: partial[Transaction]) -> Iterator[Finding]:
    """An answer has the null sender, and may go to several."""
    for name in LISTS:
        listed = [one.lower() for one in words(site.effective(service, name))]
        before = listed[: listed.index(_OF_NULL_SENDERS)] if _OF_NULL_SENDERS in listed else None
        one = make(["lamson-check@null.invalid"])
        is_let_in = (one.is_trusted and "permit_mynetworks" in (before or ())) or (
            one.is_authenticated and "permit_sasl_authenticated" in (before or ())
        )
        if before is not None and not is_let_in:
            yield Finding(
                "null-sender-to-several",
                f"{_OF_NULL_SENDERS} in {name} is for {service.key} as well",
                "an answer of ours to several recipients, which has the null sender, is refused",
                _without_list(site, service, name, _OF_NULL_SENDERS),
            )


def _named(site: Site, service: Service, verdict: Verdict, what: str) -> Finding:
    by = f"{verdict.restriction} in {verdict.name}"
    return Finding(
        verdict.effect.code,
        f"{by} stops {what} at {service.key}",
        verdict.effect.why,
        _without_list(site, service, verdict.name, verdict.restriction),
    )


def _without_list(site: Site, service: Service, name: str, restriction: str) -> str:
    """A service that is for us alone can do without what the site asks of strangers."""
    of_ours = service.options.get("syslog_name") == submission.SYSLOG_NAME
    if of_ours and name not in service.options:
        return site.mend.override(service.key, f"{name}=")
    return f"by hand: leave our addresses out of {restriction}, or permit us before it"


def _is_alone(site: Site, service: Service) -> bool:
    """mynetworks is this machine: nobody else can be meant by a list that ends with reject."""
    networks = list(items(site.effective(service, "mynetworks")))
    return not any(TABLE.match(one) for one in networks) and all(
        map(relaying.is_this_machine, networks)
    )


def _once(found: Iterable[tuple[str, Verdict]]) -> Iterator[tuple[str, Verdict]]:
    """One address for each restriction that decides."""
    seen = set()
    for address, verdict in found:
        if (verdict.name, verdict.restriction) not in seen:
            seen.add((verdict.name, verdict.restriction))
            yield address, verdict
