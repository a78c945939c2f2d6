"""What a handler module says of its functions: `@route` and the other decorators, and `State`.

For the programmers of applications. The decorators only note what they were told on the function;
the Router, built from the modules that the setting `handlers` names, reads the notes. So importing
a handler module changes nothing anywhere else, and a function may be tested by calling it.
A decorator on something that is no function raises RouteError.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from lamson.errors import RouteError
from lamson.routing.declaration import (
    HANDLERS,
    DeclaredRoute,
    SpamFilter,
    check_format,
    origin,
)

if TYPE_CHECKING:
    from lamson.routing.signing import Signed

State: TypeAlias = Callable[..., Any] | str | None
"""What a handler returns: the next state, as a function of its module or that function's name, or
None to stay."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def route(
    format: str, /, *, engine: str = "re2", proven: bool = False, **captures: str | Signed
) -> Callable[[_Function], _Function]:
    """Route the addresses that match ``format`` to the function.

    ``format`` is a regular expression in which ``(name)`` stands for the pattern given here as
    ``name=...``, else in the setting `route_defaults`. It has to match the whole envelope
    recipient, ignoring case. A capture that is `Signed` matches only what `Delivery.sign` made. May
    stand several times on one function. ``engine="re"`` allows look-around and back-references, at
    the price of a search that a crafted address may make slow. With ``proven`` the route takes only
    mail whose author is proven (`MailRequest.proof`); for any other it is as if it did not match,
    and what no route is left for is refused or kept.

    What cannot be a route (an unknown name, a pattern that RE2 has not, captures that the function
    has no parameters for, a purpose that another route declares otherwise) is a RouteError with
    file and line when the application loads.
    """
    check_format(format, "route")
    declared = DeclaredRoute(format, engine, captures, *origin(), proven)
    return lambda function: HANDLERS.note(function, declared)


def route_like(handler: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """Give the function the routes of another one, which may stand in another module.

    Raises RouteError where that one has no route itself.
    """
    file, line = origin()
    declaration = HANDLERS.of(handler)
    if declaration is None or not declaration.routes:
        name = getattr(handler, "__name__", repr(handler))
        raise RouteError(f"@route_like({name}): that has no route itself", file=file, line=line)
    copies = [replace(declared, file=file, line=line) for declared in declaration.routes]
    return lambda function: HANDLERS.note(function, *copies)


def stateless(function: _Function) -> _Function:
    """Have the function run for every message its routes match, whatever the author's state.

    All that match run, besides the one that is the author's state. What it returns is not used.
    """
    HANDLERS.on(function).is_stateless = True
    return function


def action(function: _Function) -> _Function:
    """Say that the function changes something for the author: unsubscribes, closes, orders, pays.

    Anybody can write in anybody's name. So each of its routes must demand proof of the author, by
    ``proven=True`` or a `Signed` capture; else the application does not start (RouteError), or says
    so in the log where the setting `unproven_actions` is "warn".
    """
    HANDLERS.on(function).is_action = True
    return function


def spam_filter(
    misplaced: None = None, /, *, next_state: State = None
) -> Callable[[_Function], _Function]:
    """Keep spam from the function: ``@spam_filter(next_state="SPAMMING")``.

    What a judge of the setting `spam` calls spam is kept in ``run/spam``, and Postfix is told 250.
    Its author moves to ``next_state``, a function of the module or its name; None leaves him where
    he is. Without an opinion the function runs.
    """

    if misplaced is not None:
        file, line = origin()
        problem = "@spam_filter needs parentheses: @spam_filter(), or @spam_filter(next_state=...)"
        raise RouteError(problem, file=file, line=line)

    def note(function: _Function) -> _Function:
        HANDLERS.on(function).spam_filter = SpamFilter(next_state)
        return function

    return note


def state_key_generator(function: _Function) -> _Function:
    """Have the function, ``(module: str, message) -> str``, name what the module's states are for.

    By default the state of an author is kept per module; returning, say, module and list name keeps
    one per list. A further parameter annotated `Thread` is given the thread of the message; the
    state is then that of the key alone, whoever writes. There is at most one such function in a
    module. What it raises rolls the delivery back (451 4.3.0); so does a RouteError where it
    returns no text.

    One of another module is taken over by giving it a name in this one, as the ready `per_thread`::

        state_key = state_key_generator(per_thread)
    """
    here = sys._getframe(1).f_globals.get("__name__")
    if inspect.isfunction(function) and function.__module__ != here:
        function = _taken_over(function, here)
    HANDLERS.on(function).is_state_key_generator = True
    return function


def outcome(function: _Function) -> _Function:
    """Have the function, ``(outcome: Outcome)``, be told what became of tracked mail of its module.

    It may take a `Mailer` and a Session besides, by annotation, and returns the next state of the
    conversation in which the mail was sent, or None. There is at most one such function in a
    module. What it raises rolls that back: it is told again.
    """
    HANDLERS.on(function).is_outcome = True
    return function


def _taken_over(function: _Function, module: Any) -> _Function:
    """``function`` as one of ``module``: a note on itself would count for everybody."""

    @wraps(function)
    def ours(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    ours.__dict__ = {"__wrapped__": function}  # without notes for other modules
    ours.__module__ = module
    return cast("_Function", ours)
