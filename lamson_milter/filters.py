"""What a filter module says of its functions, and all filters of an application, ready to be asked.

For the programmers of applications::

    @filter_recipient("(user)@(host)")
    def members_only(mail: Arrival, user: str, host: str) -> Verdict:
        return Reject("5.7.1", "members only") if user == "staff" else None

The decorators only note what they were told; `Filters`, built from the modules that the setting
`filters` names, reads the notes. A filter is called as a handler is: captures and a read-only
`sqlalchemy.orm.Session` are given by name. Whatever could not work is a RouteError at load.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lamson.errors import RouteError
from lamson.routing.handler import INJECTED, SESSION, DeclaredRoute, Handler
from lamson.routing.module import functions_of, load_module, refuse_redefinitions
from lamson.routing.pattern import Pattern, PatternError, compile_format
from lamson.routing.pattern_set import PatternSet
from lamson.routing.why_not import why_not

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CONNECTION, SENDER, RECIPIENT, MESSAGE = "connection", "sender", "recipient", "message"
STAGES = (CONNECTION, SENDER, RECIPIENT, MESSAGE)

_ATTRIBUTE = "__lamson_filters__"
_DECORATORS = {f"filter_{stage}" for stage in STAGES}
_INJECTED = {path: what for path, what in INJECTED.items() if what == SESSION}

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Decorator = Callable[[_Function], _Function]


@dataclass(frozen=True, slots=True)
class Declared:
    """One decorator as it was written. ``body``: how much of it, True for all, False for none."""

    stage: str
    route: DeclaredRoute
    body: int = False
    helo: bool = False


def filter_connection(function: _Function) -> _Function:
    """Ask the function, ``(connection: Connection)``, about each client that connects.

    Raises RouteError for what is no function, as all of these do.
    """
    return _annotate(function, Declared(CONNECTION, _declared_route("", "re2", {})))


def filter_sender(
    function: _Function | None = None, /, *, helo: bool = False
) -> Any:  # the decorated function, or a decorator
    """Ask the function, ``(mail: Arrival)``, about each envelope sender, at MAIL FROM.

    With ``@filter_sender(helo=True)`` it also learns ``mail.peer.helo``.
    """
    declared = Declared(SENDER, _declared_route("", "re2", {}), helo=helo)
    if function is not None:
        return _annotate(function, declared)
    return lambda later: _annotate(later, declared)


def filter_recipient(
    format: str, /, *, helo: bool = False, engine: str = "re2", **captures: str
) -> _Decorator[_Function]:
    """Ask the function, ``(mail: Arrival, **captures)``, about the recipients that match.

    At RCPT TO: what it refuses is refused for this recipient alone. ``format``, ``engine`` and
    ``captures`` are those of `lamson.route`.
    """
    _check_format(format, RECIPIENT)
    declared = Declared(RECIPIENT, _declared_route(format, engine, captures), helo=helo)
    return lambda function: _annotate(function, declared)


def filter_message(
    format: str,
    /,
    *,
    body: bool | int = True,
    helo: bool = False,
    engine: str = "re2",
    **captures: str,
) -> _Decorator[_Function]:
    """Ask the function, ``(message: FilteredMail, **captures)``, for each recipient that matches.

    At the end of the message. ``body=False`` is for a filter that looks at the header only,
    ``body=65536`` for one that needs so many octets: where that is enough for all filters, Postfix
    is told to keep the rest. Raises RouteError for a negative ``body``.
    """
    _check_format(format, MESSAGE)
    if body < 0:
        raise RouteError(f"@filter_message: body is True, False or octets, not {body!r}")
    declared = Declared(MESSAGE, _declared_route(format, engine, captures), body, helo)
    return lambda function: _annotate(function, declared)


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """One decorator of one function; ``pattern`` is None where it is asked about everything."""

    stage: str
    format: str
    handler: Handler
    pattern: Pattern | None
    body: int
    helo: bool
    file: str
    line: int

    def __str__(self) -> str:
        return str(self.handler)

    def why_not(self, address: str) -> str:
        return why_not(self.pattern, address) if self.pattern is not None else ""


class Filters:
    """All filters of an application, in the order of the modules and of their functions."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        self.all = tuple(filters)
        self.connection = self._of(CONNECTION)
        self.sender = self._of(SENDER)
        self.recipient = _Routed(self._of(RECIPIENT))
        self.message = _Routed(self._of(MESSAGE))
        bodies = [one.body for one in self.message.filters]
        self.body: int | None = None if any(one is True for one in bodies) else max([0, *bodies])
        """Octets of the body that somebody reads; None for all."""
        self.helo = any(one.helo for one in self.all)

    @classmethod
    def collect(cls, modules: Sequence[str], defaults: Mapping[str, str]) -> Filters:
        """Import the filter modules and build what is in them. Raises RouteError."""
        for number, name in enumerate(modules):
            if name in modules[:number]:
                raise RouteError(f"the module {name} is named twice", setting="filters")
        return cls([one for name in modules for one in _load(name, defaults)])

    def _of(self, stage: str) -> tuple[Filter, ...]:
        return tuple(one for one in self.all if one.stage == stage)


class _Routed:
    """The filters of one stage that are asked about some recipients."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        self.filters = tuple(filters)
        self._patterns = [one.pattern for one in filters if one.pattern is not None]
        self._set = PatternSet(self._patterns)

    def match(self, address: str) -> list[tuple[Filter, dict[str, str]]]:
        """The filters for a recipient and what they capture: one per function, in order."""
        if len(self.filters) == 1:  # no set is needed to choose from one
            captures = self._patterns[0].match(address)
            return [] if captures is None else [(self.filters[0], captures)]
        found: dict[Handler, tuple[Filter, dict[str, str]]] = {}
        for number in self._set.match(address):
            one = self.filters[number]
            if one.handler not in found:
                found[one.handler] = (one, self._patterns[number].match(address) or {})
        return list(found.values())


def _load(name: str, defaults: Mapping[str, str]) -> Iterator[Filter]:
    module = load_module(name, "filters")
    file = getattr(module, "__file__", None) or name
    refuse_redefinitions(module, file, _DECORATORS)
    is_empty = True
    for function in functions_of(module):
        declared = getattr(function, _ATTRIBUTE, None)
        if declared:
            is_empty = False
            handler = Handler(function, injectable=_INJECTED)
            for one in declared:
                yield _make(handler, one, defaults)
    if is_empty:
        raise RouteError(
            f"module {name} has no filter: decorate a function with @filter_message or another, or"
            " take the module out of the setting filters",
            file=file,
        )


def _make(handler: Handler, declared: Declared, defaults: Mapping[str, str]) -> Filter:
    route = declared.route
    file, line = route.file, route.line
    pattern: Pattern | None = None
    if declared.stage in (RECIPIENT, MESSAGE):
        try:
            pattern = compile_format(
                route.format, {**defaults, **route.captures}, engine=route.engine
            )
        except PatternError as problem:
            raise RouteError(str(problem), file=file, line=line) from None
        for name in route.captures:
            if name not in pattern.names:
                raise RouteError(f"{route.format!r} has no capture ({name})", file=file, line=line)
    handler.check_captures(pattern.names if pattern else (), file=file, line=line)
    return Filter(
        declared.stage, route.format, handler, pattern, declared.body, declared.helo, file, line
    )


def _declared_route(format: str, engine: str, captures: Mapping[str, str]) -> DeclaredRoute:
    caller = sys._getframe(2)  # where the decorator stands
    return DeclaredRoute(format, engine, captures, caller.f_code.co_filename, caller.f_lineno)


def _check_format(format: object, stage: str) -> None:
    if not isinstance(format, str):
        raise RouteError(f'@filter_{stage} needs a format: @filter_{stage}("(user)@(host)")')


def _annotate(function: _Function, declared: Declared) -> _Function:
    known = getattr(function, _ATTRIBUTE, None)
    if known is None:
        if not hasattr(function, "__code__"):
            raise RouteError(f"{function!r} is no function: filters are plain def functions")
        known = []
        setattr(function, _ATTRIBUTE, known)
    known.insert(0, declared)  # the lowest decorator is applied first
    return function
