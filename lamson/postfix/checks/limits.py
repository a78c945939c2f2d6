"""Limits of Postfix that cut off what an application lives on: time, recipients, processes.

A table of values that are too narrow, or too wide, for anybody; Postfix's own defaults are far from
them. What is weighed against a setting of ours stands below it.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, NamedTuple

from lamson.postfix import submission, transport
from lamson.postfix.checks.smtpd import faces_the_world
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

HOUR, DAY = 3600, 86400
_SECONDS = {"s": 1, "m": 60, "h": HOUR, "d": DAY, "w": 7 * DAY}
_USUAL_PROCESSES = "default_process_limit"
_SMTPD = "smtpd"


class Limit(NamedTuple):
    """``programs`` read it; a number without a unit counts in ``unit`` (s, d), or as it is."""

    name: str
    programs: tuple[str, ...]
    least: float
    why: str
    most: float = float("inf")
    unit: str = ""
    has_none_at_0: bool = False


_RETURNED = "mail that we could not take at once, as while Lamson restarts, is sent back"
_LATE = "mail that met a restart of Lamson waits for so long"
LIMITS = (
    Limit("maximal_queue_lifetime", ("qmgr",), HOUR, _RETURNED, unit="d"),
    Limit(
        "bounce_queue_lifetime",
        ("qmgr",),
        HOUR,
        "a bounce that we could not take at once is lost, and what became of our mail with it",
        unit="d",
    ),
    Limit("minimal_backoff_time", ("qmgr",), 0, _LATE, HOUR, "s"),
    Limit("maximal_backoff_time", ("qmgr",), 0, _LATE, DAY, "s"),
    Limit("queue_run_delay", ("qmgr",), 0, _LATE, HOUR, "s"),
    Limit("transport_retry_time", ("qmgr",), 0, _LATE, HOUR, "s"),
    Limit("qmgr_message_active_limit", ("qmgr",), 100, "Postfix works on so few messages at once"),
    Limit("hopcount_limit", ("smtpd", "smtp", "lmtp"), 10, "mail that went a long way is refused"),
    Limit("header_size_limit", ("cleanup",), 16384, "what is beyond it of a header is cut off"),
    Limit("header_address_token_limit", ("cleanup",), 100, "long lists of addresses are cut off"),
    Limit(
        "message_size_limit",
        (_SMTPD, "cleanup"),
        1 << 16,
        "mail with a picture is refused, and so are many without one",
        has_none_at_0=True,
    ),
    Limit("mime_nesting_limit", ("cleanup",), 10, "mail with attached mail is refused"),
    Limit(
        "ipc_timeout", (), 10, "Postfix's own parts give each other up, and mail waits", unit="s"
    ),
    Limit("smtpd_timeout", (_SMTPD,), 5, "smtpd hangs up on who is not that quick", unit="s"),
    Limit("smtpd_hard_error_limit", (_SMTPD,), 2, "smtpd hangs up at the first refusal"),
    Limit("smtpd_recipient_limit", (_SMTPD,), 10, "mail to several comes in pieces, and late"),
)


def findings(site: Site) -> Iterator[Finding]:
    """Each limit that nobody can work with, for main.cf and for the services that read it."""
    for limit in LIMITS:
        yield from of_services(site, limit, _readers(site, limit))
    yield from _watchdog(site)
    yield from _room(site)
    yield from _processes(site)


def of_services(site: Site, limit: Limit, services: list[Service]) -> Iterator[Finding]:
    """One finding for main.cf, and one for each service with a value of its own."""
    places: list[Service | None] = [one for one in services if limit.name in one.options]
    if len(places) < len(services) or not services:
        places = [None, *places]
    for place in places:
        value = site.effective(place, limit.name)
        number = _number(value, limit.unit)
        if number is None or limit.least <= number <= limit.most:
            continue
        if number == 0 and limit.has_none_at_0:
            continue
        own = f" in master.cf, for {place.key}" if place else ""
        fix = f"by hand: {limit.name} is for all mail; its default is {_default(site, limit)}"
        if place is not None:
            fix = site.mend.no_override(place.key, limit.name)
        yield Finding("limit", f"{limit.name} is {value}{own}", limit.why, fix)


def _default(site: Site, limit: Limit) -> str:
    return site.configuration.defaults.get(limit.name, "another one")


def _readers(site: Site, limit: Limit) -> list[Service]:
    """Of the smtpds, those that take our mail."""
    return [
        one
        for one in site.services.values()
        if one.program in limit.programs
        and (one.program != _SMTPD or faces_the_world(site, one) or submission.is_own(site, one))
    ]


def _watchdog(site: Site) -> Iterator[Finding]:
    """A process of Postfix that does nothing but wait is ended."""
    lmtp, needed = transport.of(site).service(site), site.settings.handler_deadline
    limit = Limit(
        "daemon_timeout",
        (),
        needed + 1,
        f"Postfix ends its LMTP client while a handler is at work (handler_deadline, {needed:g} s),"
        " and sends the mail again",
        unit="s",
    )
    yield from of_services(site, limit, [lmtp] if lmtp else [])


def _room(site: Site) -> Iterator[Finding]:
    """smtpd takes no mail where the queue has less room than this, or half as much again as the
    largest message."""
    queue = site.get("queue_directory")
    try:
        free = shutil.disk_usage(queue).free
    except OSError:
        return  # another machine's
    for name, factor in (("queue_minfree", 1.0), ("message_size_limit", 1.5)):
        value = site.get(name)
        if value.isdigit() and int(value) * factor > free:
            yield Finding(
                "queue-has-no-room",
                f"{name} is {value}, and {queue} has {free} octets left",
                "smtpd puts off all mail: 452 4.3.1 Insufficient system storage",
                f"by hand: make room there, or lower {name}",
            )


def _processes(site: Site) -> Iterator[Finding]:
    settings, used = site.settings, transport.of(site)
    lmtp, busy = used.service(site), settings.workers * settings.threads
    kept = settings.workers * settings.submission.connections
    needs: list[tuple[Service | None, int, str]] = [
        (lmtp, busy, f"workers x threads is {busy}, of which some have nothing to do"),
    ]
    for service in site.smtpds:
        if submission.is_own(site, service):
            why = f"we keep {kept} connections to it, of which some are never answered"
            needs.append((service, kept, why))
        elif faces_the_world(site, service):
            needs.append((service, 2, "one slow stranger keeps all others out"))
    for one, least, why in needs:
        processes = _number(_field(one), "") if one and _field(one) != "-" else None
        if one is not None and _field(one) == "-":
            processes = _number(site.get(_USUAL_PROCESSES), "")
        if one is None or processes is None or processes == 0 or processes >= least:
            continue
        problem = f"{one.key} has {processes:g} processes at most (maxproc)"
        if _field(one) == "-":
            problem = f"{_USUAL_PROCESSES} is {processes:g}, also for {one.key}"
        yield Finding("too-few-processes", problem, why, f"by hand: {least} or more")


def _field(service: Service) -> str:
    """The column maxproc."""
    return service.entry.split()[6]


def _number(value: str, unit: str) -> float | None:
    """None for what is no number, or no time, that Postfix knows."""
    found = re.fullmatch(r"(\d+)([smhdw]?)", value)
    if found is None or (found[2] and not unit):
        return None
    return int(found[1]) * _SECONDS.get(found[2] or unit, 1)


def is_set(site: Site, service: Service, name: str) -> bool:
    """Somebody has said it: in main.cf, or for the service."""
    return name in service.options or name in site.configuration.explicit
