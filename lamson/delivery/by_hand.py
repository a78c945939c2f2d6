"""Moves a correspondent, or a thread, into another state by hand: for `lamson state`.

As a message of his would do it: thread and state are locked in the order in which deliveries lock
them, and the timer of the state begins or ends in the same transaction. So a mail that comes
meanwhile is handled before or after, never in between.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lamson.delivery import timers
from lamson.delivery.timers import Entry, Timers
from lamson.errors import LamsonError
from lamson.storage import state, tasks, threads
from lamson.storage.state import SqlStateStore, StateKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lamson.routing.router import Router


def modules_of(router: Router, key: StateKey) -> Sequence[str]:
    """The handler modules whose states are kept by such a key: one, unless they share it."""
    if key.module in router.modules and not router.shares_states(key.module):
        return [key.module]
    sharing = [name for name in router.modules if router.shares_states(name)]
    by_thread = [name for name in sharing if threads.thread_of(name, key)]
    return by_thread or [name for name in sharing if key.module.startswith(name)] or sharing


def place(
    connection: Connection,
    router: Router,
    key: StateKey,
    wanted: str,
    module: str,
    captures: Mapping[str, object],
    now: float,
) -> str:
    """Have it be in the state ``wanted`` of ``module``; gives the one that it was in.

    ``captures`` are for the timeout of that state, on top of those that its timer had. Raises
    LamsonError where the thread is not there, and where the timeout needs other captures.
    """
    former = _lock(connection, key, module)
    name = timers.name_of(key)
    timer = tasks.find(connection, timers.KIND, name)
    known = {**(timer.payload["captures"] if timer else {}), **captures}
    for timeout in router.timeouts.get(module, {}).get(wanted, ()):
        missing = [one for one in timeout.function.required if one not in known]
        if missing:
            raise LamsonError(
                f"the timeout {timeout.function.full_name} of {wanted} needs"
                f" {', '.join(missing)}: expected -with {missing[0]}=VALUE",
                exit_code=os.EX_USAGE,
            )
    SqlStateStore(connection).save({key: wanted})
    Timers(router).note(connection, [Entry(key, wanted, module, known)], now)
    return former


def reset(connection: Connection, key: StateKey, module: str) -> str:
    """Have it be as who never wrote; gives the state that it was in. Its timer ends."""
    former = _lock(connection, key, module)
    state.forget(connection, key)
    tasks.cancel(connection, timers.KIND, [timers.name_of(key)])
    return former


def _lock(connection: Connection, key: StateKey, module: str) -> str:
    """The state, locked after its thread, as `ThreadFinder` and `Transactions` do it."""
    thread = threads.thread_of(module, key)
    if thread and not threads.lock(connection, [thread]):
        problem = f"there is no thread {thread}; it may have been forgotten"
        raise LamsonError(problem, exit_code=os.EX_NOINPUT)
    return SqlStateStore(connection).load([key])[key]
