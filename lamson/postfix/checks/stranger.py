"""The probe of smtpd: what a stranger meets where Postfix takes mail from the world.

An address of nobody's elsewhere, and an unknown one of ours, are offered; it ends before DATA.
"""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING, NamedTuple

from lamson.net.endpoint import split_host_port
from lamson.postfix import submission
from lamson.postfix.checks import recipients, relaying
from lamson.postfix.checks.answers import ELSEWHERE, TIMEOUT, shown, why
from lamson.postfix.finding import NOBODY, Finding, Untried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site

# What smtpd says where it fails itself, and not where it puts a stranger off on purpose.
_FAILED = ("4.3.0 ", "4.3.5 ", "Service unavailable")


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
        service = submission.listener(host, port, site.services)
        if relaying.is_trusted(site, met.source, service):
            yield Untried(
                f"whether strangers may relay could not be tried from here: {met.source} is in"
                " mynetworks; the configuration alone was looked at"
            )
        else:
            mend = site.mend.set_anywhere(relaying.RESTRICTIONS[0], relaying.CLOSED)
            yield Finding(
                "open-relay",
                f"{smtpd} takes mail from {host}'s clients for anywhere",
                "if a stranger may connect from where this check ran, it is an open relay",
                f"check from a host outside mynetworks; {mend}",
            )
    if met.unknown is None:
        yield Untried(
            "whether unknown recipients are refused could not be tried from here: no domain of ours"
            " is known by its name"
        )
    else:
        yield from _unknown(site, met.unknown, address)


def _meet(host: str, port: int, address: str) -> _Met:
    with smtplib.SMTP(host, port, timeout=TIMEOUT) as client:
        client.ehlo("lamson-check.invalid")
        # The null sender: nobody looks whether its domain is there.
        sender = client.mail("")
        source = client.sock.getsockname()[0] if client.sock else ""
        foreign = client.rcpt(ELSEWHERE)
        unknown = None if address.endswith("@") else client.rcpt(address)
        return _Met(source, sender, foreign, unknown)


def _unknown(site: Site, answer: tuple[int, bytes], address: str) -> Iterator[Finding | Untried]:
    code, text = answer[0], shown(answer[1])
    if code < 300 and (taking := site.router.match(address)):
        yield Untried(
            "whether unknown recipients are refused could not be tried from here: no address of"
            f" {address.partition('@')[2]} is unknown, as {taking[0].handler.name} takes any"
        )
    elif code < 300:
        yield Finding(
            "unknown-recipient-is-taken",
            f"smtpd takes mail for {address}",
            "we refuse it later, and Postfix sends a bounce to a sender who may be forged",
            site.mend.apply(),
        )
    elif "Relay access denied" in text:
        yield Finding(
            "our-domain-is-not-taken",
            f"smtpd answers {code} for {address}: {text}",
            "Postfix does not know that the domain is ours, and takes no mail for it",
            site.mend.apply(),
        )
    elif code < 500 and any(one in text for one in _FAILED):
        yield Finding(
            "unknown-recipient-is-deferred",
            f"smtpd answers {code} for {address}: {text}",
            "smtpd cannot look recipients up, so that no mail for us comes in",
            "lamson start; then look for 'lookup' in Postfix's log",
        )
    elif code < 500 and "User unknown" in text:
        if any(recipients.put_off(site)):
            return  # it has been said why no refusal is final
        yield Finding(
            "unknown-recipient-is-deferred",
            f"smtpd answers {code} for {address}: {text}",
            "strangers try for days to reach an address that there is not",
            "by hand: look for soft_bounce and unknown_relay_recipient_reject_code in master.cf",
        )
    elif "5.1.1" not in text:
        yield Untried(
            f"whether unknown recipients are refused could not be tried from here: smtpd"
            f" answers {code} before it looks them up: {text}"
        )
