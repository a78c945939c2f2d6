"""Rules of who may send as whom, made for the users of the site, and met by our relay as well.

The submission server that `apply` makes says of itself what it has to; whatever else main.cf says
of senders counts there, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.net.endpoint import is_loopback
from lamson.postfix import submission
from lamson.postfix.checks import relaying
from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_LIST = "smtpd_sender_restrictions"
_UNLISTED, _WORD = "smtpd_reject_unlisted_sender", "reject_unlisted_sender"
_LOGINS = "smtpd_sender_login_maps"
_MISMATCH = re.compile("reject_((known|unauthenticated)_)?sender_login_mismatch")
_HERE = "127.0.0.1"


def findings(site: Site) -> Iterator[Finding]:
    """What it has against senders of ours."""
    service = submission.existing(site)
    if submission.remark(site) is not None or service is None or service.program != "smtpd":
        return
    asked = _asked(site, service)
    if site.settings.submission.user is None and any(map(_MISMATCH.fullmatch, asked)):
        yield from _owned(site, service)
    if _WORD in asked:
        yield _unlisted(service, _fix(site, service, f"{_LIST}="))
    elif site.effective(service, _UNLISTED) == "yes":
        yield _unlisted(service, _fix(site, service, f"{_UNLISTED}=no"))


def _asked(site: Site, service: Service) -> Sequence[str]:
    """What is asked of our senders, up to the word that lets us pass."""
    own, listed = site.settings.submission, words(site.effective(service, _LIST).lower())
    is_here = is_loopback(own.host) and relaying.is_in_mynetworks(site, _HERE, service)
    lets = {"permit_mynetworks": is_here, "permit_sasl_authenticated": own.user is not None}
    ends = [number for number, word in enumerate(listed) if lets.get(word)]
    return listed[: min(ends, default=len(listed))]


def _owned(site: Site, service: Service) -> Iterator[Finding]:
    """Who has no login may not send as somebody who has one."""
    maps = [bare(one) for one in words(site.effective(service, _LOGINS))]
    for domain in sorted(site.domains.listed):
        keys = [f"lamson-check@{domain}", f"@{domain}"]
        if any(site.maps.answers(one, keys) for one in maps):
            yield Finding(
                "submission-sender",
                f"{_LOGINS} gives @{domain} to a login, and we have none at {service.key}",
                "replies and forwards that have a sender end in run/undeliverable",
                _fix(site, service, f"{_LIST}="),
            )
            return


def _unlisted(service: Service, fix: str) -> Finding:
    return Finding(
        "submission-wants-known-senders",
        f"{service.key}, where our replies go, refuses senders that it does not know",
        "what has a sender without a route (such as noreply@) ends in run/undeliverable",
        fix,
    )


def _fix(site: Site, service: Service, setting: str) -> str:
    """A service that is for us alone can be given a value of its own, and nobody else has it."""
    is_own = service.options.get("syslog_name") == submission.SYSLOG_NAME
    if is_own and setting.partition("=")[0] not in service.options:
        return site.mend.override(service.key, setting)
    return f"by hand: {setting} for {service.key}, or another service for us"
