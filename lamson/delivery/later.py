"""Work after a commit: a call or two to the world, by a `@background` function.

It is asked for in a transaction, and waits in the same one as a task of the kind "later": so it is
done if and only if that was committed. It is done outside of a transaction, at least once: the key
of its `Attempt` is the same on each, for whoever must recognise a repetition. For real queues of
jobs there are others, see docs/how-to/time.md.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lamson import log
from lamson.delivery.gone import NoSuchFunction
from lamson.routing.declaration import HANDLERS
from lamson.routing.function import WITH_ATTEMPT, Function
from lamson.storage.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lamson.routing.router import Router

KIND = "later"
_LONGEST = 200  # octets of a key that stands in the index as it is


@dataclass(frozen=True, slots=True)
class Attempt:
    """``number`` counts from 1; ``key`` is the same on each attempt, and for nothing else."""

    key: str
    number: int


def later(
    function: Callable[..., Any],
    given: Sequence[Any],
    arguments: Mapping[str, Any],
    *,
    key: str,
) -> Task:
    """The task that has ``function`` called with these, to be added in a transaction.

    Raises TypeError for a function that is not declared `@background`, or does not take these
    arguments, and for what JSON cannot hold.
    """
    declaration = HANDLERS.of(function)
    if declaration is None or not declaration.is_background:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(f"later() was given {name}, which is not declared @background")
    return task_of(_known(function), given, arguments, key=key)


def task_of(
    known: Function, given: Sequence[Any], arguments: Mapping[str, Any], *, key: str
) -> Task:
    """The same for one that is known to be declared so."""
    named = known.name_arguments(given, arguments)
    try:
        lasting = json.loads(json.dumps(named, allow_nan=False))
    except ValueError as error:
        raise TypeError(f"{known}: its arguments are to be what JSON can hold: {error}") from None
    payload = {"function": known.full_name, "arguments": lasting, "key": key}
    return Task(KIND, f"{known.full_name} {_short(key)}", payload)


@lru_cache(maxsize=256)
def _known(function: Callable[..., Any]) -> Function:
    return Function(function, "background function", injectable=WITH_ATTEMPT, takes_more=True)


class Background:
    """The `@background` functions of an application."""

    def __init__(self, router: Router) -> None:
        self._by_name = {one.full_name: one for one in router.background}

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def perform(self, task: Task) -> None:
        """Call it. Raises NoSuchFunction where there is none any more."""
        payload = task.payload
        function = self._by_name.get(payload["function"])
        if function is None:
            raise NoSuchFunction(f"{payload['function']} is no @background function any more")
        attempt = Attempt(payload["key"], task.attempts + 1)
        function.call(payload["arguments"], None, attempt=attempt)
        fields = {"handler": function.full_name, "key": attempt.key, "attempt": attempt.number}
        log.event("background", f"task-{task.id}", **fields)


def _short(key: str) -> str:
    octets = key.encode("utf-8", "surrogatepass")
    if len(octets) <= _LONGEST and "\0" not in key:
        return key
    return "sha256:" + hashlib.sha256(octets).hexdigest()
