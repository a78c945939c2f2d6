"""Handlers: what a declared function takes, and how it is called.

For the Router, which makes a Handler of every declared function of a handler module, for the
filters of the milter, which are called the same way, and for whoever calls one. A handler is a
plain ``def handler(message, **captures)``; a parameter annotated with an injected class
(`Delivery`, SQLAlchemy's `Session`) is given the one of this delivery. All of this is settled when
the application loads: a function that could not be called with what its routes capture is a
RouteError there, and a call itself costs about a microsecond.
"""

from __future__ import annotations

import inspect
import types
import typing
from typing import TYPE_CHECKING, Any

from lamson.errors import RouteError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from lamson.routing.declaration import SpamFilter

DELIVERY, SESSION, THREAD, POLICY = "delivery", "session", "thread", "policy"
CONVERSATIONS = "conversations"

# Compared by name, so that loading routes imports neither SQLAlchemy nor the deliveries.
INJECTED: Mapping[str, str] = {
    "lamson.delivery.context.Delivery": DELIVERY,
    "lamson.delivery.thread.Thread": THREAD,
    "sqlalchemy.orm.session.Session": SESSION,
}
# Of those that are our own, for reserved addresses.
INJECTED_IN_OURS: Mapping[str, str] = {
    **INJECTED,
    "lamson.delivery.conversations.Conversations": CONVERSATIONS,
}
# Of a function that no message came for.
INJECTED_WITHOUT_MESSAGE: Mapping[str, str] = {
    "lamson.mailer.Mailer": DELIVERY,
    "sqlalchemy.orm.session.Session": SESSION,
}


class Handler:
    """A function of a handler module, ready to be called.

    ``injected`` says what its annotated parameters are given (parameter name to `DELIVERY`,
    `SESSION`, `THREAD` or, of a filter, `POLICY`); ``required`` and ``optional`` are the parameters
    that captures fill. With ``lenient`` it is called with the routes of other handlers, and spared
    the captures that it has no parameter for. Raises RouteError where the function cannot be a
    handler at all.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        is_stateless: bool = False,
        is_action: bool = False,
        spam_filter: SpamFilter | None = None,
        lenient: bool = False,
        injectable: Mapping[str, str] = INJECTED,
    ) -> None:
        self.function = function
        self.module: str = function.__module__
        self.name: str = function.__name__
        self.full_name = f"{self.module}.{self.name}"
        self.is_stateless = is_stateless
        self.is_action = is_action
        self.spam_filter = spam_filter
        code = inspect.unwrap(function).__code__
        self.file, self.line = code.co_filename, code.co_firstlineno
        self.injected: dict[str, str] = {}
        self.required: tuple[str, ...] = ()
        self.optional: tuple[str, ...] = ()
        self.takes_any = False
        self._read_parameters(injectable)
        self.needs_session = SESSION in self.injected.values()
        self.needs_delivery = DELIVERY in self.injected.values()
        self.needs_thread = THREAD in self.injected.values()
        self.needs_policy = POLICY in self.injected.values()
        self.needs_conversations = CONVERSATIONS in self.injected.values()
        self._deliveries = tuple(n for n, what in self.injected.items() if what == DELIVERY)
        self._sessions = tuple(n for n, what in self.injected.items() if what == SESSION)
        self._threads = tuple(n for n, what in self.injected.items() if what == THREAD)
        self._policies = tuple(n for n, what in self.injected.items() if what == POLICY)
        self._conversations = tuple(n for n, w in self.injected.items() if w == CONVERSATIONS)
        drops_some = lenient and not self.takes_any
        known: frozenset[str] = frozenset(self.required + self.optional)
        self._only = known if drops_some else None

    def __str__(self) -> str:
        return self.full_name

    def __repr__(self) -> str:
        return f"<Handler {self}>"

    def call(
        self,
        message: object,
        captures: Mapping[str, str],
        delivery: object,
        session: object,
        policy: object = None,
        conversations: object = None,
        thread: object = None,
    ) -> Any:
        """Call the function and give back what it returns; raises what it raises.

        ``captures`` are those of one of its own routes, `check_captures` has seen them.
        """
        if self._only is not None:
            captures = {name: captures[name] for name in captures if name in self._only}
        if not self.injected:
            return self.function(message, **captures)
        arguments: dict[str, Any] = dict(captures)
        for name in self._deliveries:
            arguments[name] = delivery
        for name in self._sessions:
            arguments[name] = session
        for name in self._policies:
            arguments[name] = policy
        for name in self._conversations:
            arguments[name] = conversations
        for name in self._threads:
            arguments[name] = thread
        return self.function(message, **arguments)

    def check_captures(
        self, names: Iterable[str], *, file: str, line: int, threads: Collection[str] = ()
    ) -> None:
        """Raise RouteError where a route with these captures, standing there, could not call it.

        ``threads`` are those that a thread is found by: one may be called like the parameter that
        is given the thread.
        """
        names = tuple(names)
        for name in names:
            if name in self._threads and name in threads:
                continue
            if name == self._message or name in self.injected:
                raise RouteError(
                    f"{self.name}'s parameter {name!r} is not for a capture; rename one of them",
                    file=file,
                    line=line,
                )
            known = self.takes_any or self._only is not None
            if not known and name not in self.required and name not in self.optional:
                raise RouteError(
                    f"the route captures ({name}), but {self.name} has no parameter {name!r};"
                    " add it, or **captures",
                    file=file,
                    line=line,
                )
            if not holds_text(self._hints.get(name)):
                raise RouteError(
                    f"{self.name}'s parameter {name!r} is annotated {_shown(self._hints[name])},"
                    " and what a route captures is a str: annotate it so, and convert it",
                    file=file,
                    line=line,
                )
        for name in self.required:
            if name not in names:
                raise RouteError(
                    f"{self.name} needs {name!r}, which the route does not capture; capture it,"
                    " give it a default, or annotate it as Delivery, Thread or"
                    " sqlalchemy.orm.Session",
                    file=file,
                    line=line,
                )

    def _read_parameters(self, injectable: Mapping[str, str]) -> None:
        function = inspect.unwrap(self.function)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise self._error("is async def; handlers are plain def functions, run in threads")
        if inspect.isgeneratorfunction(function):
            raise self._error("has a yield; handlers are plain functions, which return")
        parameters = list(inspect.signature(self.function).parameters.values())
        first = parameters[0] if parameters else None
        if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
            raise self._error("takes no message: its first parameter is the message")
        self._message = first.name if first.kind is first.POSITIONAL_OR_KEYWORD else ""
        hints = self._hints = annotations_of(function)
        if injection(hints.get(first.name), injectable):
            raise self._error(f"has {first.name!r} first: the first parameter is the message")
        for parameter in parameters[1:]:
            name = parameter.name
            what = injection(hints.get(name), injectable)
            if parameter.kind is parameter.VAR_KEYWORD:
                self.takes_any = True
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                raise self._error(f"has {name!r} before the /, where it cannot be given by name")
            elif parameter.kind is parameter.VAR_POSITIONAL:
                continue
            elif what is not None:
                self.injected[name] = what
            elif parameter.default is parameter.empty:
                self.required += (name,)
            else:
                self.optional += (name,)

    def _error(self, problem: str) -> RouteError:
        return RouteError(f"{self.name} {problem}", file=self.file, line=self.line)


def thread_parameter(function: Callable[..., Any]) -> str:
    """The parameter of a `@state_key_generator` that is annotated `Thread`; "" without one."""
    hints = annotations_of(inspect.unwrap(function))
    return next((name for name, hint in hints.items() if injection(hint, INJECTED) == THREAD), "")


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations, resolved where that is possible.

    A name imported under ``if TYPE_CHECKING:`` does not exist at run time. It spoils
    get_type_hints for all of them, so the others are then looked up one by one.
    """
    try:
        return typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 (an annotation may run any expression)
        known = function.__globals__
        return {
            name: known.get(hint, hint) if isinstance(hint, str) else hint
            for name, hint in function.__annotations__.items()
        }


def holds_text(hint: Any) -> bool:
    """Whether a parameter with this annotation may be given a str; True where that is not known."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(map(holds_text, typing.get_args(hint)))
    if origin is typing.Annotated:
        return holds_text(typing.get_args(hint)[0])
    if isinstance(hint, typing.NewType):
        return holds_text(hint.__supertype__)
    kind = hint if origin is None else origin
    if kind is Any or not isinstance(kind, type):
        return True
    try:
        return issubclass(str, kind)
    except TypeError:  # a protocol
        return True


def _shown(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def injection(hint: Any, injectable: Mapping[str, str]) -> str | None:
    """What a parameter with this annotation is given; None where a capture is to fill it."""
    if isinstance(hint, str):
        ours = {path.rpartition(".")[2]: what for path, what in injectable.items()}
        words = (word.strip().rpartition(".")[2] for word in hint.split("|"))
        return next((ours[word] for word in words if word in ours), None)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        found = (injection(member, injectable) for member in typing.get_args(hint))
        return next(filter(None, found), None)
    if isinstance(hint, type):
        return injectable.get(f"{hint.__module__}.{hint.__qualname__}")
    return None
