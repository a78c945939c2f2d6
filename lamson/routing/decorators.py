"""What a handler module says of its functions: `@route` and the other decorators, and `State`.

For the programmers of applications. The decorators only note what they were told on the function;
the Router, built from the modules that the setting `handlers` names, reads the notes. So importing
a handler module changes nothing anywhere else, and a function may be tested by calling it.
A decorator on something that is no function raises RouteError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from lamson.errors import RouteError
from lamson.routing.declaration import (
    HANDLERS,
    DeclaredRoute,
    SpamFilter,
    check_format,
    origin,
)

State: TypeAlias = Callable[..., Any] | str | None
"""What a handler returns: the next state, as a function of its module or that function's name, or
None to stay."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def route(
    format: str, /, *, engine: str = "re2", proven: bool = False, **captures: str
) -> Callable[[_Function], _Function]:
    """Route the addresses that match ``format`` to the function.

    ``format`` is a regular expression in which ``(name)`` stands for the pattern given here as
    ``name=...``, else in the setting `route_defaults`. It has to match the whole envelope
    recipient, ignoring case. May stand several times on one function. ``engine="re"`` allows
    look-around and back-references, at the price of a search that a crafted address may make slow.
    With ``proven`` the route takes only mail whose author is proven (`MailRequest.proof`); for any
    other it is as if it did not match, and what no route is left for is refused or kept.
    What cannot be a route (an unknown name, a pattern that RE2 has not, captures that the function
    has no parameters for) is a RouteError with file and line when the application loads.
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


def spam_filter(*, next_state: State = None) -> Callable[[_Function], _Function]:
    """Keep spam from the function: ``@spam_filter(next_state="SPAMMING")``.

    What a judge of the setting `spam` calls spam is kept in ``run/spam``, and Postfix is told 250.
    Its author moves to ``next_state``, a function of the module or its name; None leaves him where
    he is. Without an opinion the function runs.
    """

    def note(function: _Function) -> _Function:
        HANDLERS.on(function).spam_filter = SpamFilter(next_state)
        return function

    return note


def state_key_generator(function: _Function) -> _Function:
    """Have the function, ``(module: str, message) -> str``, name what the module's states are for.

    By default the state of an author is kept per module; returning, say, module and list name keeps
    one per list. There is at most one such function in a module. What it raises rolls the delivery
    back (451 4.3.0); so does a RouteError where it returns no text.
    """
    HANDLERS.on(function).is_state_key_generator = True
    return function
