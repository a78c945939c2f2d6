"""Schedules: the times at which an `@every` function is to run. Pure.

A schedule is a row of slots, each a moment; which comes next depends on nothing but the time. So
all nodes agree, and a restart changes nothing. Slots of days and weeks are times of the local
clock: one that the clock leaves out in spring comes when it has been put forward, one that it has
twice in autumn comes the first time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
_INTERVAL = re.compile(r"(?:(\d+) )?(second|minute|hour|day|week)s?")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_MONDAY = date(1970, 1, 5)
_DAY = 86400


@dataclass(frozen=True)
class Schedule:
    """What `every` was told. Raises ValueError, saying why, for what is no schedule."""

    interval: str = ""
    at: str = ""
    cron: str = ""
    zone: str = "UTC"
    missed: str = "once"

    def __post_init__(self) -> None:
        if bool(self.interval) == bool(self.cron):
            raise ValueError('expected an interval such as "1 day", or cron="0 6 * * *"')
        if self.missed not in ("once", "skip"):
            raise ValueError(f'missed={self.missed!r}: expected "once" or "skip"')
        try:
            ZoneInfo(self.zone)
        except (OSError, ValueError, LookupError):
            raise ValueError(f"there is no time zone {self.zone!r}") from None
        if self.cron:
            if self.at:
                raise ValueError("a line of crontab says itself at what time")
            try:
                next(CronSim(self.cron, datetime(2024, 1, 1, tzinfo=UTC)))
            except (CronSimError, StopIteration):
                raise ValueError(f"{self.cron!r} is no line of crontab that ever comes") from None
            return
        if not self._seconds:
            raise ValueError(f'{self.interval!r}: expected such as "15 minutes" or "1 day"')
        if self.at and (not _TIME.fullmatch(self.at) or self._seconds % _DAY):
            raise ValueError(f'at={self.at!r}: expected "06:00", for days and weeks')

    @cached_property
    def _seconds(self) -> int:
        found = _INTERVAL.fullmatch(self.interval.strip())
        return int(found[1] or 1) * _UNITS[found[2]] if found else 0

    def __str__(self) -> str:
        if self.cron:
            return f"{self.cron} {self.zone}"
        at = f" at {self.at}" if self.at else ""
        return f"{self.interval}{at} {self.zone}" if at or self._is_local else self.interval

    @property
    def _is_local(self) -> bool:
        return self._seconds % _DAY == 0

    def fingerprint(self) -> str:
        """The same for what has the same slots."""
        return "|".join((self.interval, self.at, self.cron, self.zone))

    def next(self, after: float) -> float:
        """The first slot after a moment; both in seconds since the epoch."""
        if self.cron:
            local = datetime.fromtimestamp(after, ZoneInfo(self.zone))
            return float(next(CronSim(self.cron, local)).timestamp())
        if not self._is_local:
            return float((after // self._seconds + 1) * self._seconds)
        return self._next_day(after)

    def last(self, now: float, since: float) -> float:
        """The last slot until ``now``, where ``since`` is one of them and has come."""
        step = self.next(since)
        if step > now:
            return since
        if self.cron:
            # Back from now, further each time: a line of crontab cannot be read backwards.
            span = 60.0
            while now - span > since:
                slot = self.next(now - span)
                if slot <= now:
                    step = slot
                    break
                span *= 4
        elif self._is_local:
            step = max(step, self.next(now - self._seconds - _DAY))
        else:
            step = max(step, float(now // self._seconds * self._seconds))
        while (following := self.next(step)) <= now:
            step = following
        return step

    def _next_day(self, after: float) -> float:
        zone = ZoneInfo(self.zone)
        found = _TIME.fullmatch(self.at or "0:00")
        assert found is not None
        hour, minute = int(found[1]), int(found[2])
        days = self._seconds // _DAY
        day = datetime.fromtimestamp(after, zone).date() - timedelta(days=1)
        passed = (day - _MONDAY).days % days
        day += timedelta(days=(days - passed) % days)
        while True:
            local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
            if local.timestamp() > after:
                return local.timestamp()
            day += timedelta(days=days)
