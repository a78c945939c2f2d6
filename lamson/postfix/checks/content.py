"""Checks of headers and bodies that take our mail away, or change it: asked with lines of ours.

Mail to us passes the cleanup(8) of the smtpd that takes it from the world, and our LMTP client;
answers pass that of the submission server, and the SMTP client. Source: header_checks(5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import known, submission, transport
from lamson.postfix.checks import action
from lamson.postfix.checks.on_the_way import client
from lamson.postfix.checks.smtpd import faces_the_world
from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_HEADERS = ("header_checks", "mime_header_checks")
_NESTED = ("nested_header_checks",)
_BODY = ("body_checks",)
_LINE = "lamson-check: a line of a message"
_UNCHECKED = "no_header_body_checks"
_EACH_WAY = (
    "Subject: lamson-check",
    "Date: Thu, 01 Jan 2026 12:00:00 +0000",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
)


def findings(site: Site) -> Iterator[Finding]:
    """What a check does to them. A table that does it in several places is named once."""
    to_us, from_us = _to_us(site), _from_us(site)
    seen: set[tuple[str, str]] = set()
    for service in site.smtpds:
        is_own = submission.is_own(site, service)
        for is_met, lines, what in (
            (faces_the_world(site, service), to_us, "mail to us"),
            (is_own, from_us, "what we send"),
        ):
            given = words(site.effective(service, "receive_override_options"))
            if is_met and _UNCHECKED not in given:
                yield from _asked(site, _cleanup(site, service), "", lines, what, seen)
    lmtp = transport.of(site).service(site)
    if lmtp is not None and lmtp.program == "lmtp":
        yield from _asked(site, lmtp, "lmtp_", to_us, "mail to us", seen)
    yield from _asked(site, client(site), "smtp_", from_us, "what we send", seen)
    yield from _dropped(site, {line.partition(":")[0].lower() for line in (*to_us, *from_us)})


def _dropped(site: Site, needed: set[str]) -> Iterator[Finding]:
    """Fields that cleanup(8) takes away from each message (message_drop_headers)."""
    name = "message_drop_headers"
    if taken := [one for one in words(site.get(name)) if one.lower() in needed]:
        yield Finding(
            action.CHANGED.code,
            f"{name} has {', '.join(taken)}",
            action.CHANGED.why,
            f"by hand: take it out of {name}, which is for all mail",
        )


def _cleanup(site: Site, service: Service) -> Service | None:
    name = site.effective(service, "cleanup_service_name") or "cleanup"
    return site.services.get(f"{name}/unix")


def _asked(
    site: Site,
    service: Service | None,
    prefix: str,
    lines: Sequence[str],
    what: str,
    seen: set[tuple[str, str]],
) -> Iterator[Finding]:
    for names, asked in ((_HEADERS, lines), (_NESTED, _EACH_WAY), (_BODY, [_LINE])):
        for name in names:
            for table in map(bare, words(site.effective(service, prefix + name))):
                answers = site.maps.answers(table, asked)
                for line, answer in answers.items():
                    effect = action.effect(answer, site.services)
                    if effect is None or (table, effect.code) in seen:
                        continue
                    seen.add((table, effect.code))
                    yield Finding(
                        effect.code,
                        f"{table} in {prefix}{name} says {answer.split()[0]} to {what}: {line}",
                        effect.why,
                        f"by hand: leave such lines out of the patterns in {table}",
                    )


def _to_us(site: Site) -> list[str]:
    domain = min(site.domains.listed, default="app.invalid")
    recipients = [f"To: {one}" for one in known.addresses(site)]
    return [
        *recipients,
        "From: Zed <zed@example.net>",
        "Message-ID: <lamson-check@mx.example.net>",
        f"In-Reply-To: <lamson-check@{domain}>",
        f"References: <lamson-check@{domain}>",
        "Received: from mx.example.net (mx.example.net [192.0.2.1])"
        f" by {site.get('myhostname')} (Postfix) with ESMTP id 4abcdefghijk",
        *_EACH_WAY,
    ]


def _from_us(site: Site) -> list[str]:
    domains = sorted(site.domains.listed)
    senders = [*known.addresses(site), *(f"lamson-check@{one}" for one in domains)]
    return [
        *(f"From: {one}" for one in dict.fromkeys(senders)),
        *(f"Message-ID: <lamson-check@{one}>" for one in domains),
        "To: Zed <zed@example.net>",
        "In-Reply-To: <lamson-check@mx.example.net>",
        "References: <lamson-check@mx.example.net>",
        "Auto-Submitted: auto-replied",
        "Precedence: list",
        *(f"List-Id: <lamson-check.{one}>" for one in domains),
        *(f"List-Unsubscribe: <mailto:lamson-check@{one}>" for one in domains),
        *_EACH_WAY,
    ]
