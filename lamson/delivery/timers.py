"""Timers: who stays in a state for too long is handed to the `@timeout` function of that state.

A timer is a task of the kind "timer", one at most for each correspondent in a state machine. It is
put, or taken away, in the transaction that writes the state: so it is there if and only if somebody
is in a state with a timeout and has not been handed to the last function for it. The state is
locked before the task is taken, by who answers and by the timer alike: whoever comes first wins,
and the other finds it done. A module without timeouts costs nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lamson import log
from lamson.delivery.gone import NoSuchFunction
from lamson.storage import tasks, threads
from lamson.storage.state import StateKey
from lamson.storage.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.errand import Errand
    from lamson.routing.router import Router

KIND = "timer"


class Entry(NamedTuple):
    """Who entered which state, by what a function of ``module`` returned for mail with
    ``captures``."""

    key: StateKey
    state: str
    module: str
    captures: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Expired:
    """Who stayed in a state for too long, for a `@timeout` function.

    ``author`` is the address, ``state`` the name of the state, ``since`` when it was entered (in
    seconds since the epoch), ``module`` the state machine: the handler module's name, or what its
    `@state_key_generator` made of it. ``captures`` are those of the mail with which it was entered.
    ``thread_id`` is the id of the thread where the module keeps its states `per_thread`, which has
    no author; else "".
    """

    author: str
    state: str
    since: float
    module: str
    captures: Mapping[str, Any] = field(default_factory=dict)
    thread_id: str = ""


class Timers:
    """The timeouts of an application, by what its modules declare."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._timeouts = router.timeouts
        self._watched = set(self._timeouts)
        if any(router.shares_states(module) for module in self._timeouts):
            # The same correspondent may be moved by any other of these.
            self._watched.update(filter(router.shares_states, router.modules))

    def __bool__(self) -> bool:
        return bool(self._timeouts)

    def watches(self, module: str) -> bool:
        """Whether a move by a function of this module may begin or end a timer."""
        return module in self._watched

    def note(self, connection: Connection, entries: Sequence[Entry], now: float) -> None:
        """Begin the timers of who entered a state, and end those of who left one."""
        begun: dict[str, Task] = {}
        ended: set[str] = set()
        for entry in entries:
            if entry.module not in self._watched:
                continue
            name = name_of(entry.key)
            ended.add(name)
            begun.pop(name, None)
            timeouts = self._of(entry.module, entry.state)
            if timeouts:
                payload = {
                    "machine": entry.key.module,
                    "author": entry.key.author,
                    "module": entry.module,
                    "state": entry.state,
                    "since": now,
                    "captures": _lasting(entry.captures),
                    "function": timeouts[0].function.name,
                }
                begun[name] = Task(KIND, name, payload, now + timeouts[0].seconds)
        tasks.cancel(connection, KIND, ended - begun.keys())
        tasks.put(connection, list(begun.values()))

    @staticmethod
    def locks(task: Task) -> list[StateKey]:
        """The states to lock before a timer is taken."""
        return [_key(task)]

    def perform(self, task: Task, errand: Errand) -> None:
        """Hand who stayed to the function. Raises NoSuchFunction where there is none any more."""
        payload, key = task.payload, _key(task)
        module, state = payload["module"], payload["state"]
        timeouts = self._of(module, state)
        at = [timeout.function.name for timeout in timeouts]
        if payload["function"] not in at:
            raise NoSuchFunction(
                f"{module}.{payload['function']} is no @timeout of the state {state} any more"
            )
        if errand.state(key) != state:  # by somebody's hand, or by another version of ours
            log.logger.warning("%s is not in state %s any more: no timeout", key.author, state)
            return
        number = at.index(payload["function"])
        function = timeouts[number].function
        captures = payload["captures"]
        thread_id = threads.thread_of(module, key)
        expired = Expired(key.author, state, payload["since"], key.module, captures, thread_id)
        errand.act_for(module, key)
        returned = function.call(captures, errand, expired=expired)
        moved = self._router.next_state(function, returned)
        errand.note(
            "expired",
            author=key.author,
            handler=function.full_name,
            state=state,
            next=moved,
        )
        if moved is not None:
            errand.move(key, moved, module=module, captures=captures)
        elif number + 1 < len(timeouts):
            later = timeouts[number + 1]
            due_at = max(errand.now, payload["since"] + later.seconds)
            again = payload | {"function": later.function.name}
            errand.again.append(Task(KIND, task.name, again, due_at))

    def _of(self, module: str, state: str) -> Sequence[Any]:
        return self._timeouts.get(module, {}).get(state, ())


def _key(task: Task) -> StateKey:
    return StateKey(task.payload["machine"], task.payload["author"])


def name_of(key: StateKey) -> str:
    """What the timer of a correspondent is called."""
    return hashlib.blake2b("\0".join(key).encode(), digest_size=16).hexdigest()


def _lasting(captures: Mapping[str, object]) -> dict[str, object]:
    """What of the captures JSON can hold."""
    found = {}
    for name, value in captures.items():
        try:
            found[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            continue
    return found
