"""Declarations: what decorators said about a function, noted on the function itself.

For the decorators of handlers, for those of filters, and for what reads their notes when the
application loads. A note is an attribute of the function: nothing is registered anywhere, importing
a module changes nothing anywhere else, and a decorated function may be tested by calling it.
Whatever cannot be declared is a RouteError.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lamson.errors import RouteError
from lamson.routing.handler import THREAD
from lamson.routing.pattern import PatternError, compile_format
from lamson.routing.signing import PATTERN, Signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lamson.routing.handler import Handler
    from lamson.routing.pattern import Pattern
    from lamson.routing.schedule import Schedule


@dataclass(frozen=True, slots=True)
class DeclaredRoute:
    """One decorator as it was written, and where."""

    format: str
    engine: str
    captures: Mapping[str, str | Signed]
    file: str
    line: int
    proven: bool = False

    @property
    def signed(self) -> tuple[tuple[str, Signed], ...]:
        """The captures that match only what was signed, by name."""
        return tuple((name, one) for name, one in self.captures.items() if isinstance(one, Signed))

    def compile(self, handler: Handler, defaults: Mapping[str, str]) -> Pattern:
        """The pattern of the format; ``defaults`` are for the captures that it says nothing of.

        Raises RouteError where it is of no use, or the handler cannot take what it captures.
        """
        captures: dict[str, Any] = {**defaults, **self.captures}
        captures.update((name, PATTERN) for name, _ in self.signed)
        try:
            pattern = compile_format(self.format, captures, engine=self.engine)
        except PatternError as problem:
            raise RouteError(str(problem), file=self.file, line=self.line) from None
        for name in self.captures:
            if name not in pattern.names:
                raise RouteError(
                    f"{self.format!r} has no capture ({name})", file=self.file, line=self.line
                )
        threads = threads_among(self.signed)
        handler.check_captures(pattern.names, file=self.file, line=self.line, threads=threads)
        return pattern


def threads_among(signed: Iterable[tuple[str, Signed]]) -> tuple[str, ...]:
    """The names of the captures that a thread is found by: ``Signed("thread")`` and its kin."""
    return tuple(name for name, one in signed if leads_to_thread(one.purpose))


def leads_to_thread(purpose: str) -> bool:
    """Whether what is signed for it is a thread: "thread" itself, or "thread-agent" and the like,
    which are for who may do something else in it."""
    return purpose == THREAD or purpose.startswith(f"{THREAD}-")


@dataclass(frozen=True, slots=True)
class DeclaredTimeout:
    """One `@timeout`: the names of the states, none for any but START, and the seconds."""

    states: tuple[str, ...]
    seconds: float
    file: str
    line: int


_Route = TypeVar("_Route", bound=DeclaredRoute)
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(slots=True)
class Declaration(Generic[_Route]):
    """What the decorators said about one function. ``routes`` stand as in the source, top first."""

    routes: list[_Route] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SpamFilter:
    """That spam does not reach the function; ``next_state`` is where its author goes, or None."""

    next_state: Callable[..., Any] | str | None = None


@dataclass(slots=True)
class HandlerDeclaration(Declaration[DeclaredRoute]):
    is_stateless: bool = False
    is_state_key_generator: bool = False
    is_outcome: bool = False
    is_action: bool = False
    spam_filter: SpamFilter | None = None
    timeouts: list[DeclaredTimeout] = field(default_factory=list)
    schedule: Schedule | None = None
    is_background: bool = False

    @property
    def is_timely(self) -> bool:
        """Whether no message calls it, but the time, or a commit."""
        return bool(self.timeouts) or self.schedule is not None or self.is_background


_Declared = TypeVar("_Declared", bound=Declaration[Any])


class Declarations(Generic[_Declared]):
    """The declarations of one kind: of handlers, or of filters.

    ``setting`` names the modules that hold them, ``decorators`` is what makes them, ``noun`` and
    ``example`` are for whoever has written none.
    """

    def __init__(
        self, setting: str, decorators: set[str], make: type[_Declared], *, noun: str, example: str
    ) -> None:
        self.setting = setting
        self.decorators = frozenset(decorators)
        self.noun, self.example = noun, example
        self._make = make
        self._attribute = f"__lamson_{setting}__"

    def of(self, function: object) -> _Declared | None:
        """What was declared about a function, None where no decorator of this kind touched it."""
        found = getattr(function, self._attribute, None)
        return found if isinstance(found, self._make) else None

    def on(self, function: object) -> _Declared:
        """The declaration of a function, to be added to. Raises RouteError for anything else."""
        found = self.of(function)
        if found is None:
            if not inspect.isfunction(function):
                raise RouteError(
                    f"{function!r} is no function: {self.setting} are plain def functions"
                )
            found = self._make()
            setattr(function, self._attribute, found)
        return found

    def note(self, function: _Function, *routes: DeclaredRoute) -> _Function:
        """Note on the function what one decorator says, and give the function back."""
        self.on(function).routes[:0] = routes  # the lowest decorator is applied first
        return function


HANDLERS = Declarations(
    "handlers",
    {
        "action",
        "background",
        "every",
        "outcome",
        "route",
        "route_like",
        "spam_filter",
        "stateless",
        "state_key_generator",
        "timeout",
    },
    HandlerDeclaration,
    noun="route",
    example="@route",
)


def origin() -> tuple[str, int]:
    """File and line where the decorator stands that asks."""
    caller = sys._getframe(2)
    return caller.f_code.co_filename, caller.f_lineno


def check_format(format: object, decorator: str) -> None:
    """Raise RouteError for a decorator that stands there without its format."""
    if not isinstance(format, str):
        raise RouteError(f'@{decorator} needs a format: @{decorator}("(user)@(host)")')
