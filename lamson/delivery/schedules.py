"""Schedules at work: the next slot of each `@every` function is a task that waits for its time.

The task is named by the function, and there is one of it whatever the number of processes: who runs
the slot puts the next one, in the same transaction. At the start of each process what the code says
is compared with what waits: a new schedule, or a changed one, waits for its next slot; one that is
gone is forgotten.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from lamson import log
from lamson.delivery.gone import NoSuchFunction
from lamson.storage import schedules, tasks
from lamson.storage.tasks import Task

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lamson.delivery.errand import Errand
    from lamson.delivery.errands import Failed
    from lamson.routing.clockwork import Scheduled
    from lamson.routing.router import Router

KIND = "every"
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
            log.logger.info("schedules that are gone: %s", ", ".join(gone))

    def now(self, connection: Connection, name: str) -> Task:
        """Have one run at once, besides its slots; gives the task."""
        at_once = Task(KIND, f"{name} {secrets.token_hex(4)}", {"function": name})
        tasks.add(connection, [at_once])
        return tasks.named(connection, KIND)[at_once.name]

    def perform(self, task: Task, errand: Errand) -> None:
        """Run the function for its slot. Raises NoSuchFunction where there is none any more."""
        name = task.payload["function"]
        one = self.by_name.get(name)
        if one is None:
            raise NoSuchFunction(f"{name} is no @every function any more")
        slot = task.payload.get("slot")
        if slot is not None:
            last = one.schedule.last(errand.now, slot)
            tasks.put(errand.connection, [_waiting(one, one.schedule.next(last))])
            if one.schedule.missed == "skip" and not task.attempts and _is_late(one, last, errand):
                errand.note("missed", handler=name, slot=f"{last:.0f}")
                return
        began = time.perf_counter()
        one.function.call({}, errand)
        seconds = time.perf_counter() - began
        schedules.record(errand.connection, name, errand.now, seconds)
        errand.note("ran", handler=name, ms=f"{seconds * 1000:.1f}")

    def failed(self, connection: Connection, failed: Failed) -> None:
        """Note it; try again as long as this slot lasts, else wait for the next one."""
        task = failed.task
        name = task.payload["function"]
        one = self.by_name[name]
        is_there: int | bool
        if slot := task.payload.get("slot"):
            following = one.schedule.next(one.schedule.last(failed.now, slot))
            if failed.due_at >= following:
                is_there = tasks.cancel(connection, KIND, [name])
                if is_there:
                    tasks.add(connection, [_waiting(one, following)])
            else:
                is_there = tasks.put_off(connection, task, failed.due_at, failed.error)
        else:  # who asked for it is told, and may ask again
            is_there = tasks.drop(connection, task.id)
        if is_there:
            schedules.record(connection, name, failed.now, failed.seconds, failed.error)


def _is_late(one: Scheduled, slot: float, errand: Errand) -> bool:
    lasting = one.schedule.next(slot) - slot
    return errand.now - slot > min(_LATE, lasting / 2)


def _waiting(one: Scheduled, slot: float) -> Task:
    name = one.function.full_name
    payload = {"function": name, "slot": slot, "schedule": one.schedule.fingerprint()}
    return Task(KIND, name, payload, slot)
