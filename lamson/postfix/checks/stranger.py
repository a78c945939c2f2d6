"""The probe of smtpd: what a stranger meets where Postfix takes mail from the world.

An address of nobody's elsewhere, and an unknown one of ours, are offered; it ends before DATA.
Where Postfix trusts loopback, it is asked once more from this machine's address in its network,
which it may well take for a stranger's.
"""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING, NamedTuple

from lamson.net.endpoint import is_loopback, join_host_port, split_host_port
from lamson.postfix.checks import planned, recipients, relaying
from lamson.postfix.checks.answers import (
    ELSEWHERE,
    IN_PROGRESS,
    TIMEOUT,
    VERIFIED,
    own_address,
    shown,
    why,
)
from lamson.postfix.checks.smtpd import behind
from lamson.postfix.finding import NOBODY, Finding, Untried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site

# What smtpd says where it fails itself, and not where it puts a stranger off on purpose.
_FAILED = ("4.3.0 ", "4.3.5 ", "Service unavailable")
_NOT_FINAL = ("soft_bounce", "unknown_relay_recipient_reject_code")


class _Met(NamedTuple):
    """The answers to MAIL and to two RCPT; ``source`` is the address that smtpd saw us at.

    There is nobody unknown to ask for where no domain of ours can be listed.
    """

    source: str
    sender: tuple[int, bytes]
    foreign: tuple[int, bytes]
    unknown: tuple[int, bytes] | None


def findings(site: Site, smtpd: str) -> Iterator[Finding | Untried]:
    """What is wrong with it. ``smtpd`` is ``host:port``."""
    host, port = split_host_port(smtpd)
    address = f"{NOBODY}@{min(site.domains.listed, default='')}"
    try:
        met = _meet(host, port, address)
    except (OSError, UnicodeError, smtplib.SMTPException) as error:  # such as mail..example
        yield Finding(
            "smtpd-does-not-answer",
            f"no smtpd answers on {smtpd}: {why(error)}",
            "no mail comes in",
            "postfix start, or say where it listens: lamson postfix check -smtpd HOST:PORT",
        )
        return
    if met.sender[0] >= 300:
        yield Finding(
            "smtpd-takes-no-sender",
            f"smtpd answers {met.sender[0]} to MAIL FROM:<>: {shown(met.sender[1])}",
            "no mail comes in, or bounces are refused",
            "look for NOQUEUE or milter-reject in Postfix's log",
        )
        return
    if met.foreign[0] < 300:
        yield from _foreign(site, met, host, port)
    if met.unknown is None:
        yield _not_tried("no domain of ours is known by its name")
    else:
        yield from _unknown(site, met.unknown, address, smtpd)


def _foreign(site: Site, met: _Met, host: str, port: int) -> Iterator[Finding | Untried]:
    """It takes mail for anywhere from where we are."""
    service = behind(site, host, port)
    if relaying.is_trusted(site, met.source, service):
        beyond = own_address() if is_loopback(host) else None
        if beyond is None or relaying.is_trusted(site, beyond, service):
            yield _untried_relay(met.source)
            return
        try:
            met = _meet(beyond, port, ELSEWHERE)
        except (OSError, smtplib.SMTPException):
            yield _untried_relay(met.source)  # it listens on loopback alone, or hides from us
            return
        host = beyond
    if met.foreign[0] < 300:
        yield Finding(
            "open-relay",
            f"{join_host_port(host, port)} takes mail from {host}'s clients for anywhere",
            "if a stranger may connect from where this check ran, it is an open relay",
            "by hand: check from a host outside mynetworks; reject_unauth_destination has to stand"
            f" in {relaying.RESTRICTIONS[0]} before what lets anybody through",
        )
    elif _is_shut(met.foreign):
        yield Finding(
            "strangers-are-refused",
            f"smtpd answers {met.foreign[0]} to {met.source}, which is not in mynetworks:"
            f" {shown(met.foreign[1])}",
            "no mail comes in from the world",
            "by hand: smtpd_client_restrictions of a public service must not end with reject",
        )


def _is_shut(answer: tuple[int, bytes]) -> bool:
    return answer[0] >= 500 and b"Client host rejected: Access denied" in answer[1]


def _untried_relay(source: str) -> Untried:
    return Untried(
        "untried-relay",
        "whether strangers may relay",
        f"{source} is in mynetworks; the configuration alone was looked at",
        "lamson postfix check -smtpd HOST:PORT, from a host outside mynetworks",
    )


def _meet(host: str, port: int, address: str) -> _Met:
    with smtplib.SMTP(host, port, timeout=TIMEOUT) as client:
        client.ehlo("lamson-check.invalid")
        # The null sender: nobody looks whether its domain is there.
        sender = client.mail("")
        source = client.sock.getsockname()[0] if client.sock else ""
        foreign = client.rcpt(ELSEWHERE)
        unknown = None if address.endswith("@") else client.rcpt(address)
        return _Met(source, sender, foreign, unknown)


def _unknown(
    site: Site, answer: tuple[int, bytes], address: str, smtpd: str
) -> Iterator[Finding | Untried]:
    code, text = answer[0], shown(answer[1])
    if code < 300 and (taking := site.router.match(address)):
        domain, handler = address.partition("@")[2], taking[0].handler.name
        yield _not_tried(f"no address of {domain} is unknown, as {handler} takes any")
    elif code < 300:
        yield from _taken(site, address, smtpd)
    elif "Relay access denied" in text:
        yield Finding(
            "our-domain-is-not-taken",
            f"smtpd answers {code} for {address}: {text}",
            "Postfix does not know that the domain is ours, and takes no mail for it",
            _by_plan(site, "by hand: look for relay_domains among the overrides of master.cf"),
        )
    elif code < 500 and any(one in text for one in _FAILED):
        yield Finding(
            "unknown-recipient-is-deferred",
            f"smtpd answers {code} for {address}: {text}",
            "smtpd cannot look recipients up, so that no mail for us comes in",
            "lamson start, where no socketmap answers; else look for 'lookup', 'table' or 'open' in"
            " Postfix's log",
        )
    elif code < 500 and IN_PROGRESS in text:
        yield _not_tried(f"smtpd is asking for it: {text}")
    elif code < 500 and any(one in text for one in VERIFIED):
        yield _not_tried(f"smtpd has verified that it is not there, and puts it off: {text}")
    elif code < 500 and any(one in text for one in ("User unknown", "4.1.1")):
        yield from _put_off(site, code, text, address, smtpd)
    elif "5.1.1" not in text:
        yield _not_tried(f"smtpd answers {code} before it looks them up: {text}")


def _taken(site: Site, address: str, smtpd: str) -> Iterator[Finding]:
    """It is taken. Where the configuration says why, that has been said."""
    service = behind(site, *split_host_port(smtpd))
    if service is not None and (
        any(recipients.overridden(site, service)) or any(recipients.unlisted(site, service))
    ):
        return
    yield Finding(
        "unknown-recipient-is-taken",
        f"smtpd takes mail for {address}",
        "we refuse it later, and Postfix sends a bounce to a sender who may be forged",
        _by_plan(
            site,
            "by hand: an access table or a restriction of smtpd says OK before recipients are"
            " looked up, or a table of relay_recipient_maps knows everybody",
        ),
    )


def _put_off(site: Site, code: int, text: str, address: str, smtpd: str) -> Iterator[Finding]:
    """A refusal that is not final; it may have been said why."""
    if any(recipients.put_off(site)):
        return
    service = behind(site, *split_host_port(smtpd))
    own = [name for name in _NOT_FINAL if service and name in service.options]
    fix = "by hand: look for what defers it in the restrictions of smtpd"
    if service is not None and own:
        fix = site.mend.no_override(service.key, *own)
    yield Finding(
        "unknown-recipient-is-deferred",
        f"smtpd answers {code} for {address}: {text}",
        "strangers try for days to reach an address that there is not",
        fix,
    )


def _by_plan(site: Site, otherwise: str) -> str:
    """`apply` is a remedy only where it would change something."""
    return site.mend.apply() if any(planned.findings(site)) else otherwise


def _not_tried(why: str) -> Untried:
    return Untried("untried-unknown-recipient", "whether unknown recipients are refused", why)
