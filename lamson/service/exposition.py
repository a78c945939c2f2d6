"""The numbers of a service as Prometheus reads them.

For the status listener. `prometheus_client` writes the text; what is in it comes from the memory
in which the workers count (`lamson.metrics`), and from what was found by looking (`health`). What
could not be found out, such as how much waits in a database that is away, is left out.

Its own way of counting in several processes is not used: it keeps a file for each process that ever
counted, which all stay, and takes a lock for each number (see docs/reference/metrics.md).
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from lamson import metrics
from lamson.service.health import LATE_TIMER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client import Metric

    from lamson.metrics import Member, Totals
    from lamson.service.health import Health, Kept

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Gauge:
    """What is as it is at the moment."""

    what: str
    unit: str = ""
    labels: tuple[str, ...] = ()


GAUGES = {
    "state": Gauge("1 for the state that the service is in.", "", ("state",)),
    "server_up": Gauge("Whether a server of ours answers.", "0 or 1", ("server",)),
    "database_up": Gauge("Whether the database can be used.", "0 or 1"),
    "submission_up": Gauge("Whether the submission server answers. No login is tried.", "0 or 1"),
    "outbox_messages": Gauge("Mail that waits to be submitted.", "messages"),
    "outbox_oldest_seconds": Gauge("Age of the oldest of it, 0 where nothing waits.", "seconds"),
    "outbox_failing_messages": Gauge(
        "Of the thousand oldest, those that were tried and put off.", "messages"
    ),
    "undeliverable_messages": Gauge("What is in run/undeliverable.", "messages"),
    "undeliverable_bytes": Gauge("Its size.", "octets"),
    "undeliverable_limit_bytes": Gauge("The setting max_undeliverable.", "octets"),
    "spam_messages": Gauge("What is in run/spam.", "messages"),
    "spam_bytes": Gauge("Its size.", "octets"),
    "spam_limit_bytes": Gauge("The setting spam.max_kept.", "octets"),
    "timers_late": Gauge(
        f"Timers and other tasks that are due since {LATE_TIMER:.0f} s; 10000 is that or more.",
        "tasks",
    ),
    "timers_late_seconds": Gauge("How late the latest of them is.", "seconds"),
    "workers": Gauge("Workers that are there, by group.", "processes", ("group",)),
    "worker_silence_seconds": Gauge(
        "For how long a worker of the group has given no sign of life, at the most.",
        "seconds",
        ("group",),
    ),
    "memory_bytes": Gauge(
        "Resident memory of the workers; what they share counts for each.", "octets", ("group",)
    ),
    "build_info": Gauge("1, and the version of lamson.", "", ("version",)),
}
STATES = ("healthy", "degraded", "down")


class Numbers:
    """A collector, as prometheus_client calls what tells of metrics."""

    def __init__(self, totals: Totals, members: Sequence[Member], health: Health) -> None:
        self._totals = totals
        self._members = members
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """All that there is."""
        yield from self._counted()
        yield self._handlers()
        values: dict[str, list[tuple[tuple[str, ...], float]]] = {name: [] for name in GAUGES}
        for name, labels, value in (*self._of_service(), *self._of_workers()):
            if value is not None:
                values[name].append((labels, float(value)))
        for name, gauge in GAUGES.items():
            family = GaugeMetricFamily(f"lamson_{name}", gauge.what, labels=gauge.labels)
            for labels, value in values[name]:
                family.add_metric(labels, value)
            if family.samples:
                yield family

    def _counted(self) -> Iterator[Metric]:
        families = {
            name: CounterMetricFamily(f"lamson_{name}", one.what, labels=tuple(one.labels))
            for name, one in metrics.CATALOGUE.items()
        }
        for (name, *labels), value in self._totals.counts.items():
            families[name].add_metric(labels, value)
        yield from families.values()

    def _handlers(self) -> Metric:
        name = f"lamson_{metrics.HANDLER_SECONDS}"
        family = HistogramMetricFamily(name, metrics.HANDLER_SECONDS_IS, labels=("handler",))
        for handler, (*counts, total) in sorted(self._totals.handlers.items()):
            buckets, number = [], 0.0
            for limit, count in zip((*metrics.BUCKETS, "+Inf"), counts, strict=True):
                number += count
                buckets.append((str(limit), number))
            family.add_metric([handler], buckets=buckets, sum_value=total)
        return family

    def _of_service(self) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
        health = self._health
        for state in STATES:
            yield "state", (state,), float(state == health.state)
        for server, is_up in health.servers.items():
            yield "server_up", (server,), is_up
        yield "database_up", (), health.database
        yield "submission_up", (), health.submission
        if (waiting := health.outbox) is not None:
            yield "outbox_messages", (), waiting.messages
            yield "outbox_oldest_seconds", (), waiting.oldest or 0.0
            yield "outbox_failing_messages", (), waiting.failing
        if (timers := health.timers) is not None:
            yield "timers_late", (), timers.late
            yield "timers_late_seconds", (), timers.oldest or 0.0
        yield from _kept("undeliverable", health.undeliverable)
        yield from _kept("spam", health.spam)
        yield "build_info", (version("lamson-postfix"),), 1.0

    def _of_workers(self) -> Iterator[tuple[str, tuple[str, ...], float]]:
        members = [one for one in self._members if one.group in metrics.GROUPS]
        groups = Counter(one.group for one in members)
        for group, number in groups.items():
            same = [one for one in members if one.group == group]
            yield "workers", (group,), number
            yield "worker_silence_seconds", (group,), max(one.silence for one in same)
            yield "memory_bytes", (group,), sum(map(_resident, same))


def text(totals: Totals, members: Sequence[Member], health: Health) -> bytes:
    """The page for Prometheus."""
    registry = CollectorRegistry()
    registry.register(Numbers(totals, members, health))
    return generate_latest(registry)


def names() -> Iterable[str]:
    """What samples can be called, for who writes rules."""
    for name in metrics.CATALOGUE:
        yield f"lamson_{name}_total"
    for ending in ("bucket", "count", "sum"):
        yield f"lamson_{metrics.HANDLER_SECONDS}_{ending}"
    for name in GAUGES:
        yield f"lamson_{name}"


def _kept(name: str, kept: Kept | None) -> Iterator[tuple[str, tuple[str, ...], float]]:
    if kept is not None:
        yield f"{name}_messages", (), kept.messages
        yield f"{name}_bytes", (), kept.octets
        yield f"{name}_limit_bytes", (), kept.limit


def _resident(member: Member) -> float:
    """Octets; 0 for one that has ended at this moment."""
    try:
        return int(Path(f"/proc/{member.pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0.0
