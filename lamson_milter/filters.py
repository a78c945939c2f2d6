"""What a filter module says of its functions, and all filters of an application, ready to be asked.

For the programmers of applications::

    @filter_recipient("(user)@(host)")
    def members_only(mail: Arrival, user: str, host: str) -> Verdict:
        return Reject("5.7.1", "members only") if user == "staff" else None

The decorators only note what they were told; `Filters`, built from the modules that the setting
`filters` names, reads the notes. A filter is called as a handler is: captures, a read-only
`sqlalchemy.orm.Session` and a `Policy` are given by name. Whatever could not work is a RouteError
at load.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lamson.errors import RouteError
from lamson.routing.declaration import (
    Declaration,
    Declarations,
    DeclaredRoute,
    check_format,
    origin,
)
from lamson.routing.handler import POLICY, SESSION, Handler
from lamson.routing.loader import functions_of, load, nothing_declared
from lamson.routing.matcher import Matcher
from lamson.routing.router import Route
from lamson.routing.signing import PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

CONNECTION, SENDER, RECIPIENT, MESSAGE = "connection", "sender", "recipient", "message"
STAGES = (CONNECTION, SENDER, RECIPIENT, MESSAGE)

# Compared by name, as those of handlers are.
_INJECTED = {"sqlalchemy.orm.session.Session": SESSION, "lamson.storage.policy.Policy": POLICY}

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Decorator = Callable[[_Function], _Function]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredFilter(DeclaredRoute):
    """One decorator as it was written. ``body``: how much of it, True for all, False for none."""

    stage: str
    body: int = False
    helo: bool = False
    inline: bool = False


FILTERS: Declarations[Declaration[DeclaredFilter]] = Declarations(
    "filters",
    {f"filter_{stage}" for stage in STAGES},
    Declaration,
    noun="filter",
    example="@filter_message or another",
)


def filter_connection(
    function: _Function | None = None, /, *, inline: bool = False
) -> Any:  # the decorated function, or a decorator
    """Ask the function, ``(connection: Connection)``, about each client that connects.

    Filters run on threads of Lamson's own, with a time limit. ``inline=True``, which all decorators
    take, is for one that waits for nothing and keeps nothing that is bound to a thread: no SQLite
    handle, no `threading.local`, no C code that calls back into Python. Where all filters of a
    stage say so they run in libmilter's callback, which saves the hand-over (docs/milter.md).
    Raises RouteError for what is no function, as all of these do.
    """
    return _noted(function, _of_all(CONNECTION, origin(), inline=inline))


def filter_sender(
    function: _Function | None = None, /, *, helo: bool = False, inline: bool = False
) -> Any:  # the decorated function, or a decorator
    """Ask the function, ``(mail: Arrival)``, about each envelope sender, at MAIL FROM.

    With ``@filter_sender(helo=True)`` it also learns ``mail.peer.helo``. ``inline`` as in
    `filter_connection`.
    """
    return _noted(function, _of_all(SENDER, origin(), helo=helo, inline=inline))


def filter_recipient(
    format: str,
    /,
    *,
    helo: bool = False,
    inline: bool = False,
    engine: str = "re2",
    **captures: str,
) -> _Decorator[_Function]:
    """Ask the function, ``(mail: Arrival, **captures)``, about the recipients that match.

    At RCPT TO: what it refuses is refused for this recipient alone. ``format``, ``engine`` and
    ``captures`` are those of `lamson.route`, ``inline`` as in `filter_connection`.
    """
    check_format(format, "filter_recipient")
    declared = DeclaredFilter(
        format, engine, captures, *origin(), stage=RECIPIENT, helo=helo, inline=inline
    )
    return lambda function: FILTERS.note(function, declared)


def filter_message(
    format: str | Callable[..., Any] = "",
    /,
    *,
    body: bool | int = True,
    helo: bool = False,
    inline: bool = False,
    engine: str = "re2",
    **captures: str,
) -> Any:  # the decorated function, or a decorator
    """Ask the function, ``(message: FilteredMail, **captures)``, at the end of the message.

    With a ``format`` once for each recipient that matches. Without one, as ``@filter_message`` or
    ``@filter_message(body=False)``, once for the message as a whole, before all those: what it
    says holds for every recipient, and ``message.recipient`` is empty.

    ``body=False`` is for a filter that looks at the header only, ``body=65536`` for one that needs
    so many octets: where that is enough for all filters, Postfix is told to keep the rest.
    ``inline`` as in `filter_connection`. Raises RouteError for a negative ``body`` and for
    captures without a format.
    """
    if callable(format):
        return FILTERS.note(format, _of_all(MESSAGE, origin(), body=True))
    if body < 0:
        raise RouteError(f"@filter_message: body is True, False or octets, not {body!r}")
    if format == "" and not captures:
        return _noted(None, _of_all(MESSAGE, origin(), body=body, helo=helo, inline=inline))
    check_format(format, "filter_message")
    declared = DeclaredFilter(
        format, engine, captures, *origin(), stage=MESSAGE, body=body, helo=helo, inline=inline
    )
    return lambda function: FILTERS.note(function, declared)


@dataclass(frozen=True, slots=True, eq=False)
class Filter(Route):
    """One decorator of one function. Without a format it is asked about everything."""

    stage: str
    body: int
    helo: bool
    is_inline: bool

    def __str__(self) -> str:
        return str(self.handler)


class Filters:
    """All filters of an application, in the order of the modules and of their functions."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        self.all = tuple(filters)
        self.connection = self._of(CONNECTION)
        self.sender = self._of(SENDER)
        self.recipient = Matcher(self._of(RECIPIENT))
        of_messages = self._of(MESSAGE)
        self.whole = tuple(one for one in of_messages if not one.format)
        self.message = Matcher([one for one in of_messages if one.format])
        bodies = [one.body for one in of_messages]
        self.body: int | None = None if any(one is True for one in bodies) else max([0, *bodies])
        """Octets of the body that somebody reads; None for all."""
        self.asks_message = bool(of_messages)
        self.needs_policy = any(one.handler.needs_policy for one in self.all)
        self.helo = any(one.helo for one in self.all)

    @classmethod
    def collect(
        cls, modules: Sequence[str], defaults: Mapping[str, str], own: Sequence[Filter] = ()
    ) -> Filters:
        """Import the filter modules and build what is in them; ``own`` are asked after those.

        Raises RouteError.
        """
        found = [one for module in load(modules, FILTERS) for one in _read(module, defaults)]
        return cls([*found, *own])

    def _of(self, stage: str) -> tuple[Filter, ...]:
        return tuple(one for one in self.all if one.stage == stage)


def _read(module: ModuleType, defaults: Mapping[str, str]) -> Iterator[Filter]:
    is_empty = True
    for function in functions_of(module):
        declaration = FILTERS.of(function)
        if declaration is None:
            continue
        is_empty = False
        handler = Handler(function, injectable=_INJECTED)
        for one in declaration.routes:
            if one.inline and (handler.needs_session or handler.needs_policy):
                raise RouteError(
                    f"{one.file}:{one.line}: {handler} takes a Session or a Policy, which wait for"
                    " the database: leave out inline=True"
                )
            if one.signed:
                raise RouteError(
                    f"{handler}: a filter's capture cannot be Signed; give it the form of a token,"
                    f" {PATTERN!r}: the routes verify it",
                    file=one.file,
                    line=one.line,
                )
            yield Filter(
                one.format,
                handler,
                one.compile(handler, defaults),
                one.file,
                one.line,
                one.stage,
                one.body,
                one.helo,
                one.inline,
            )
    if is_empty:
        raise nothing_declared(module, FILTERS)


def _of_all(
    stage: str,
    where: tuple[str, int],
    *,
    body: int = False,
    helo: bool = False,
    inline: bool = False,
) -> DeclaredFilter:
    return DeclaredFilter("", "re2", {}, *where, stage=stage, body=body, helo=helo, inline=inline)


def _noted(function: _Function | None, declared: DeclaredFilter) -> Any:
    """The function that was decorated, or where there is none yet the decorator."""
    if function is not None:
        return FILTERS.note(function, declared)
    return lambda later: FILTERS.note(later, declared)
