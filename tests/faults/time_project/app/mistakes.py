"""Mistakes that Lamson does not make, made on purpose: the count has to notice each of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete

from lamson.delivery.errand import Errand
from lamson.delivery.errands import Errands, Fate
from lamson.delivery.runner import Runner
from lamson.storage import tables, tasks
from lamson.storage.tasks import Task


def commit(name: str) -> None:
    """Make the mistake called ``name``; "" makes none. Raises KeyError for one that is unknown."""
    if name:
        {
            "taken-early": _take_early,
            "deleted-late": _delete_late,
            "never-mended": _never_mend,
        }[name]()


def _take_early() -> None:
    """A task is deleted when it is found: whoever dies, or fails, before it is done loses it."""
    due = tasks.due
    found: dict[int, Task] = {}

    def take_at_once(connection: Any, *arguments: Any, **options: Any) -> list[Task]:
        mine = []
        for task in due(connection, *arguments, **options):
            one = delete(tables.tasks).where(tables.tasks.c.id == task.id)
            if connection.execute(one).rowcount:
                found[task.id] = task
                mine.append(task)
        return mine

    _replace(tasks, "due", take_at_once)

    def take_all(connection: Any, wanted: Sequence[Task], now: float) -> dict[int, Task]:
        return {task.id: found.pop(task.id) for task in wanted if task.id in found}

    _replace(tasks, "take", lambda connection, id, now, made_at: found.pop(id, None))
    _replace(tasks, "take_all", take_all)
    _replace(tasks, "lease", lambda connection, task, until: found.pop(task.id, None) is not None)


def _delete_late() -> None:
    """A timer is deleted after its work was committed, and nobody looks at the state."""
    once, together = Errands._once, Errands.run_together

    def do_and_delete(errands: Errands, task: Task) -> Fate:
        fate = once(errands, task)
        delete_all(errands, [task], [fate])
        return fate

    def do_together_and_delete(errands: Errands, batch: Sequence[Task]) -> list[Fate]:
        fates = together(errands, batch)
        delete_all(errands, batch, fates)
        return fates

    def delete_all(errands: Errands, batch: Sequence[Task], fates: Sequence[Fate]) -> None:
        for task, fate in zip(batch, fates, strict=True):
            if fate is Fate.DONE and task.kind == "timer":
                with errands._database.begin() as connection:
                    tasks.drop(connection, task.id)

    take = tasks.take

    def only_look(connection: Any, id: int, now: float, *, made_at: float) -> Task | None:
        task = tasks.get(connection, id)
        return (
            task
            if task is not None and task.kind == "timer"
            else take(connection, id, now, made_at=made_at)
        )

    def look_at_all(connection: Any, wanted: Sequence[Task], now: float) -> dict[int, Task]:
        there = (tasks.get(connection, task.id) for task in wanted)
        return {task.id: task for task in there if task is not None}

    _replace(tasks, "take_all", look_at_all)
    _replace(Errands, "_once", do_and_delete)
    _replace(Errands, "run_together", do_together_and_delete)
    _replace(Errand, "state", lambda errand, key: "WAITING")
    _replace(tasks, "take", only_look)
    _replace(tasks, "cancel", lambda connection, kind, names: 0)


def _never_mend() -> None:
    """A slot that was put while the clock was ahead is waited for."""
    made = Runner.__init__

    def make(runner: Runner, *arguments: Any, mend: Any, **options: Any) -> None:
        made(runner, *arguments, **options)

    _replace(Runner, "__init__", make)


def _replace(owner: object, name: str, mistaken: object) -> None:
    setattr(owner, name, mistaken)
