"""The probes: whether each leg between Postfix and us carries, tried for real.

For `lamson postfix check`. No probe sends a message, but the one that is to be delivered: each ends
before DATA. What does not answer becomes a finding, never an exception; what cannot be tried from
here is said as well.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from lamson.postfix import ours, reachability, recipients
from lamson.postfix.checks import arrival, delivered, handing_in, known, on_the_way, stranger
from lamson.postfix.checks.answers import why
from lamson.postfix.checks.restrictions import LISTS
from lamson.postfix.configuration import bare, option, words
from lamson.postfix.finding import Finding
from lamson.postfix.wanted import ACTION
from lamson.service import asking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.finding import Untried
    from lamson.postfix.site import Site

# What is said of a stranger, after which a known recipient would tell nothing new.
_TELLING = (
    "smtpd-does-not-answer",
    "smtpd-takes-no-sender",
    "our-domain-is-not-taken",
    "unknown-recipient-is-deferred",
)
# Where Postfix may be told to ask another server.
_POLICIES = tuple(one for one in LISTS if one.endswith("_restrictions"))
_ASKED = ("relay_recipient_maps", "transport_maps", "relay_domains", "smtpd_milters")


def findings(
    site: Site, smtpd: str | None = None, *, patience: float | None = None
) -> Iterator[Finding | Untried]:
    """What does not carry. ``smtpd`` is where Postfix takes mail from the world, if not where the
    settings say. With ``patience`` (seconds) a probe is delivered, and waited for."""
    silent = list(_lmtp(site))
    yield from silent
    if site.settings.socketmap.listen:
        yield from _socketmap(site)
        yield from _lookups(site)
    if site.settings.has_milter:
        yield from _milter(site)
    yield from _others(site)
    world = smtpd or site.settings.postfix.smtpd
    met = list(stranger.findings(site, world))
    yield from met
    has_failed = any(one.code in _TELLING for one in met)
    yield from known.findings(site, world, has_failed=has_failed)
    own = site.settings.lmtp.endpoint(bracketed=True)
    yield from arrival.findings(site, silent=own if silent else None)
    yield from handing_in.findings(site)
    if patience is not None:
        yield from delivered.findings(site, world, patience)


def _lmtp(site: Site) -> Iterator[Finding]:
    lmtp = site.settings.lmtp
    try:
        asking.lmtp(lmtp)
    except OSError as error:
        yield Finding(
            "lmtp-does-not-answer",
            f"no LMTP server answers on {lmtp.listen}: {why(error)}",
            "mail for us stays in Postfix's queue",
            "lamson start",
        )


def _socketmap(site: Site) -> Iterator[Finding]:
    own = site.settings.socketmap
    try:
        asking.socketmap(own, min(site.domains.listed, default=None))
    except OSError as error:
        yield Finding(
            "socketmap-does-not-answer",
            f"no socketmap answers on {own.listen}: {why(error)}",
            "smtpd answers 451 to everybody who writes to us",
            "lamson start",
        )


def _lookups(site: Site) -> Iterator[Finding]:
    """Where Postfix is told to ask us, if that is not where we listen."""
    asked, listening = site.settings.lookup("recipient"), site.settings.socketmap.listen
    if site.settings.postfix.lookups is None:
        return
    if problem := reachability.why(asked, site.get("queue_directory")):
        yield Finding(
            "lookups-do-not-answer",
            f"postfix.lookups is {site.settings.postfix.lookups}, where nothing answers"
            f" ({problem}), while the socketmap listens on {listening}",
            "smtpd answers 451 to everybody who writes to us",
            "correct postfix.lookups in config/settings.py, then lamson postfix apply",
        )


def _milter(site: Site) -> Iterator[Finding]:
    milter = site.settings.milter
    try:
        asking.milter(milter)
    except OSError as error:
        yield Finding(
            "milter-does-not-answer",
            f"no milter answers on {milter.listen}: {why(error)}",
            "smtpd answers 451 to everybody, or lets mail pass unfiltered: as"
            " milter_default_action says",
            "lamson start",
        )


def _others(site: Site) -> Iterator[Finding]:
    """Other servers that Postfix asks, and that defer all mail by being silent."""
    own = set()
    is_our_milter = ours.is_milter(site)
    if site.settings.socketmap.listen:
        own |= {site.settings.lookup(name) for name in ("recipient", "transport", "domain")}
    for name in (*_ASKED, *_POLICIES):
        for item in _servers(site, name):
            asked = (ours.piped(item) or [bare(item)])[-1].removeprefix("proxy:")
            is_own = asked in own or (site.settings.has_milter and is_our_milter(asked))
            is_own = is_own or not recipients.is_asked_for_us(site, item)
            problem = "" if is_own else reachability.why(asked, site.get("queue_directory"))
            if problem:
                action = option(item, ACTION) or site.get("milter_default_action")
                is_passed_over = name == "smtpd_milters" and action == "accept"
                is_passed_over = is_passed_over or _has_default(site, item)
                yield Finding(
                    "another-server-does-not-answer",
                    f"{asked} in {name} does not answer: {problem}",
                    "mail passes without it"
                    if is_passed_over
                    else "Postfix defers all mail that it has to ask it about",
                    f"start it; where nobody needs it any more, take it out of {name} by hand",
                )


def _servers(site: Site, name: str) -> list[str]:
    """What a list names: of restrictions, the policy servers alone."""
    listed = on_the_way.listed(site, name)
    if name not in _POLICIES:
        return listed
    services = [one for one in site.smtpds if on_the_way.takes_ours(site, one)]
    walked = [words(site.effective(one, name)) for one in services]
    return list(
        dict.fromkeys(
            item
            for one in walked
            for word, item in pairwise(one)
            if word.lower() == "check_policy_service"
        )
    )


def _has_default(site: Site, item: str) -> bool:
    """Of a policy server, what is done without it (Postfix 3.0)."""
    usual = site.get("smtpd_policy_service_default_action")
    said = option(item, ACTION) or usual
    return bool(said) and said.split()[0].upper() in ("DUNNO", "OK", "PERMIT")
