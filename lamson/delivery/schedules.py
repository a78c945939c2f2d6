"""Schedules at work: the next slot of each `@every` function is a task that waits for its time.

The task is named by the function, and there is one of it whatever the number of processes: who runs
the slot puts the next one, in the same transaction. At the start of each process what the code says
is compared with what waits: a new schedule, or a changed one, waits for its next slot; one that is
gone is forgotten.
"""

from __future__ import annotations

import secrets
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from lamson import log
from lamson.delivery.gone import NoSuchFunction
from lamson.storage import schedules, tasks
from lamson.storage.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.errand import Errand
    from lamson.delivery.errands import Failed
    from lamson.routing.clockwork import Scheduled
    from lamson.routing.router import Router

KIND = "every"
_KEPT = 10  # times behind us in which all slots were run
_LATE = 60.0  # seconds after which a slot counts as missed, unless half the time to the next passed


class Schedules:
    """Those of an application, by the full names of their functions."""

    def __init__(self, router: Router) -> None:
        self.by_name = {one.function.full_name: one for one in router.schedules}

    def __bool__(self) -> bool:
        return bool(self.by_name)

    def take_up(self, connection: Connection, now: float) -> None:
        """At the start: have what the code says wait for its next slot, and nothing else."""
        waiting = tasks.named(connection, KIND)
        for name, one in self.by_name.items():
            task = waiting.get(name)
            if task is None:
                tasks.add(connection, [_waiting(one, one.schedule.next(now))])
            elif task.payload["schedule"] != one.schedule.fingerprint():
                tasks.put(connection, [_waiting(one, one.schedule.next(now))])
                log.logger.info("the schedule of %s is now %s", name, one.schedule)
        gone = [
            name
            for name, task in waiting.items()
            if name not in self.by_name and "schedule" in task.payload
        ]
        if tasks.cancel(connection, KIND, gone):
            schedules.forget(connection, gone)
            log.logger.info("schedules that are gone: %s", ", ".join(gone))

    def now(self, connection: Connection, name: str) -> Task:
        """Have one run at once, besides its slots; gives the task."""
        at_once = Task(KIND, f"{name} {secrets.token_hex(4)}", {"function": name})
        tasks.add(connection, [at_once])
        return tasks.named(connection, KIND)[at_once.name]

    def mend(self, connection: Connection, now: float) -> None:
        """Where the clock went back: have the slots come that are between now and the next.

        Those that ran while it was ahead do not run again.
        """
        for name, task in tasks.named(connection, KIND).items():
            one = self.by_name.get(name)
            if one is None or task.attempts or task.payload["slot"] <= one.schedule.next(now):
                continue
            payload = task.payload
            done = [*payload["done"], [payload["since"], payload["ran"]]]
            slot = _next(one, now, done)
            if slot < payload["slot"] and tasks.drop(connection, task.id):
                tasks.add(connection, [_waiting(one, slot, done=done)])

    def perform(self, task: Task, errand: Errand) -> None:
        """Run the function for its slot. Raises NoSuchFunction where there is none any more."""
        payload = task.payload
        name = payload["function"]
        one = self.by_name.get(name)
        if one is None:
            raise NoSuchFunction(f"{name} is no @every function any more")
        slot = errand.now
        if "slot" in payload:
            slot = _come(one, errand.now, payload)
            tasks.put(errand.connection, [_following(one, slot, payload)])
            is_first = not task.attempts
            if one.schedule.missed == "skip" and is_first and _is_late(one, slot, errand):
                errand.note("missed", handler=name, slot=f"{slot:.0f}")
                return
        began = time.perf_counter()
        moment = datetime.fromtimestamp(slot, ZoneInfo(one.schedule.zone))
        errand.act_for(one.function.module)
        one.function.call({}, errand, slot=moment)
        seconds = time.perf_counter() - began
        schedules.record(errand.connection, name, errand.now, seconds)
        errand.note("ran", handler=name, ms=f"{seconds * 1000:.1f}")

    def failed(self, connection: Connection, failed: Failed) -> None:
        """Note it; try again as long as this slot lasts, else wait for the next one."""
        task = failed.task
        name = task.payload["function"]
        one = self.by_name[name]
        is_there: int | bool
        if "slot" in task.payload:
            following = _following(one, _come(one, failed.now, task.payload), task.payload)
            if failed.due_at >= following.due_at:
                is_there = tasks.drop(connection, task.id)
                if is_there:
                    tasks.add(connection, [following])
            else:
                is_there = tasks.put_off(connection, task, failed.due_at, failed.error)
        else:  # who asked for it is told, and may ask again
            is_there = tasks.drop(connection, task.id)
        if is_there:
            schedules.record(connection, name, failed.now, failed.seconds, failed.error)


def _is_late(one: Scheduled, slot: float, errand: Errand) -> bool:
    lasting = one.schedule.next(slot) - slot
    return errand.now - slot > min(_LATE, lasting / 2)


def _come(one: Scheduled, now: float, payload: Mapping[str, Any]) -> float:
    """The last slot that has come of those that were not run, for the first of which it waited."""
    slot = one.schedule.last(now, payload["slot"])
    while slot > payload["slot"] and (
        begins := [first for first, last in payload["done"] if first <= slot <= last]
    ):
        slot = one.schedule.last(min(begins) - 1, payload["slot"])
    return slot


def _following(one: Scheduled, slot: float, payload: Mapping[str, Any]) -> Task:
    """What waits after ``slot`` has come, for which ``payload`` waited."""
    done = [*payload["done"]]
    following = _next(one, slot, done)
    since = payload["since"]
    if slot != payload["slot"]:  # some were left out: what was run before stands apart
        done.append([since, payload["ran"]])
        since = slot
    if following != one.schedule.next(slot):  # so it does before what was run ahead of us
        done.append([since, slot])
        since = following
    return _waiting(one, following, since=since, ran=slot, done=_worth_keeping(done, slot))


def _worth_keeping(done: Iterable[Sequence[float]], slot: float) -> list[Sequence[float]]:
    """Of the times in which all slots were run, those ahead, and as many behind as a clock that
    goes back may come to."""
    real = sorted((first, last) for first, last in done if first <= last)
    behind = [times for times in real if times[1] <= slot]
    return [*behind[-_KEPT:], *real[len(behind) :]]


def _next(one: Scheduled, after: float, done: Sequence[Sequence[float]]) -> float:
    """The first slot that has not been run already."""
    slot = one.schedule.next(after)
    while ends := [last for first, last in done if first <= slot <= last]:
        slot = one.schedule.next(max(ends))
    return slot


def _waiting(
    one: Scheduled,
    slot: float,
    *,
    since: float | None = None,
    ran: float = 0.0,
    done: Sequence[Sequence[float]] = (),
) -> Task:
    """``since`` is from when on all slots up to ``ran`` were run; ``done`` are other such times:
    ahead of us, from before the clock went back, and behind us, since it may go back."""
    name = one.function.full_name
    payload = {
        "function": name,
        "schedule": one.schedule.fingerprint(),
        "slot": slot,
        "since": slot if since is None else since,
        "ran": ran,
        "done": list(done),
    }
    return Task(KIND, name, payload, slot)
