"""What a handler module says of time: `@timeout`, `@every`, and `@background`.

As the decorators of handlers, these only note what they were told on the function. What cannot be
(a state that there is not, a schedule that makes no sense) is a RouteError with file and line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from lamson.errors import RouteError
from lamson.routing.declaration import HANDLERS, DeclaredTimeout, origin
from lamson.routing.schedule import Schedule

_Function = TypeVar("_Function", bound=Callable[..., Any])


def timeout(
    *states: Callable[..., Any] | str,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
) -> Callable[[_Function], _Function]:
    """Hand to the function who stays in one of ``states`` for so long, once.

    ``states`` are functions of the module, or their names; none means any but START. Time counts
    from entering the state: a message that leaves its author there does not start it again, one
    whose handler returns the state does. The function may send, and return the next state; None
    leaves him there. It is given an `Expired`, a `Mailer` and a `Session` by annotation, and by
    name the captures of the mail with which the state was entered.
    """
    file, line = origin()
    if not (days or hours or minutes or seconds):
        raise RouteError(
            "@timeout needs how long: @timeout(CONFIRMING, days=3)", file=file, line=line
        )
    lasting = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not 0 < lasting <= 36525 * 86400:
        raise RouteError(
            f"@timeout of {lasting:g} seconds: expected more than 0, and a century at most",
            file=file,
            line=line,
        )
    names = []
    for state in states:
        name = state if isinstance(state, str) else getattr(state, "__name__", "")
        if not name:
            raise RouteError(f"@timeout: {state!r} is no state", file=file, line=line)
        names.append(name)
    declared = DeclaredTimeout(tuple(names), lasting, file, line)

    def note(function: _Function) -> _Function:
        HANDLERS.on(function).timeouts.insert(0, declared)
        return function

    return note


def every(
    interval: str = "",
    /,
    *,
    at: str = "",
    cron: str = "",
    zone: str = "UTC",
    missed: str = "once",
) -> Callable[[_Function], _Function]:
    """Run the function once in each slot, whatever the number of processes and nodes.

    ``interval`` is such as "15 minutes", "1 hour", "1 day" or "2 weeks", ``at`` the time of the
    day for days and weeks ("06:00"), in the time zone ``zone``; or ``cron`` is a line of crontab(5)
    ("0 6 * * mon-fri"). A time that the clocks leave out, or have twice, is one slot. A slot that
    came while nothing ran is caught up with ``missed="once"``, however many there were, and left
    out with "skip". The function is given a `Mailer`, a `Session` and, as a `datetime`, the slot by
    annotation; it runs in a transaction. Where it fails it is tried again until the next slot.
    """
    file, line = origin()
    if not isinstance(interval, str) or not (interval or cron):
        problem = '@every needs when: @every("1 day", at="06:00"), or cron="0 6 * * *"'
        raise RouteError(problem, file=file, line=line)
    try:
        schedule = Schedule(interval, at=at, cron=cron, zone=zone, missed=missed)
    except ValueError as problem:
        raise RouteError(f"@every: {problem}", file=file, line=line) from None

    def note(function: _Function) -> _Function:
        declaration = HANDLERS.on(function)
        if declaration.schedule is not None:
            raise RouteError(
                f"{function.__name__} has a second @every; give it another function",
                file=file,
                line=line,
            )
        declaration.schedule = schedule
        return function

    return note


def background(function: _Function) -> _Function:
    """Have the function done after a commit, when `Delivery.later` asks for it.

    It is named by its module and name, gets what JSON can hold, and runs outside of a transaction,
    at least once. An `Attempt`, by annotation, has the key by which others know a repetition.
    """
    HANDLERS.on(function).is_background = True
    return function
