"""The Router: which handlers an address belongs to, and which states a handler module has.

Built once from the modules named in the setting `handlers`; then asked per recipient by the LMTP
front end and the dispatcher. Anything wrong with a module, a route or a handler is a RouteError
while it is built, one line with file and line number; nothing is left for the first message to
find.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from lamson.errors import RouteError
from lamson.routing.declaration import HANDLERS
from lamson.routing.handler import Handler
from lamson.routing.loader import load
from lamson.routing.matcher import Matcher
from lamson.routing.module import HandlerModule
from lamson.routing.pattern import compile_format
from lamson.routing.reserved import PREFIX, is_like_one
from lamson.routing.why_not import why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from lamson.routing.pattern import Pattern
    from lamson.routing.signing import Signed


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One format of one handler; ``file`` and ``line`` say where its decorator stands.

    ``signed`` are its captures that match only what was signed. ``proven``: it takes only mail
    whose author is proven.
    """

    format: str
    handler: Handler
    pattern: Pattern
    file: str
    line: int
    signed: tuple[tuple[str, Signed], ...] = field(default=(), kw_only=True)
    proven: bool = field(default=False, kw_only=True)

    @property
    def is_signed(self) -> bool:
        """An address matches only with a valid token in it, which is a proof."""
        return bool(self.signed)


class Match:
    """A route that an address matches, and what it captured of the address."""

    __slots__ = ("_address", "_captures", "handler", "route")

    def __init__(self, route: Route, address: str) -> None:
        self.route = route
        self.handler = route.handler
        self._address = address
        self._captures: dict[str, str] | None = None

    @property
    def captures(self) -> dict[str, str]:
        """Found when first asked for: whether an address is routed at all needs none."""
        if self._captures is None:
            self._captures = self.route.pattern.match(self._address) or {}
        return self._captures

    def __repr__(self) -> str:
        return f"<Match {self.handler} {self.captures}>"


class Explanation(NamedTuple):
    """What became of one route: what it captured, else None and the reason in words."""

    route: Route
    captures: dict[str, str] | None
    why_not: str


class Router:
    """All routes of an application, in the order of the modules and of their functions.

    ``modules`` are the names of the handler modules.
    """

    def __init__(self, modules: Sequence[HandlerModule], defaults: Mapping[str, str]) -> None:
        self._modules = {module.name: module for module in modules}
        self.modules = tuple(self._modules)
        self.routes = tuple(
            Route(
                declared.format,
                handler,
                declared.compile(handler, defaults),
                declared.file,
                declared.line,
                signed=declared.signed,
                proven=declared.proven,
            )
            for module in modules
            for handler, declaration in module.declared
            for declared in declaration.routes
        )
        self._error_routes = dict(self._routes_of_errors())
        self._matcher = Matcher(self.routes)
        self._reserved: tuple[Callable[[str], bool], Route] | None = None

    @classmethod
    def collect(cls, modules: Sequence[str], defaults: Mapping[str, str]) -> Router:
        """Import the handler modules and build their Router.

        ``defaults`` are the patterns of the captures for which a decorator gives none, the setting
        `route_defaults`. Raises RouteError for whatever could not work.
        """
        return cls([HandlerModule(module) for module in load(modules, HANDLERS)], defaults)

    def refuse_captures(self, reserved: Collection[str]) -> None:
        """Raise RouteError for a capture with one of these names, which templates need themselves.

        Captures are given to templates: the first answer from one would find it out.
        """
        for route in self.routes:
            for name in route.pattern.names:
                if name in reserved:
                    raise RouteError(
                        f"({name}) cannot be the name of a capture: templates have a meaning of"
                        " their own for it; take another name",
                        file=route.file,
                        line=route.line,
                    )

    def refuse_unprovable(self) -> None:
        """Raise RouteError for a route that would never take mail, as nothing ever proves any."""
        for route in self.routes:
            if route.proven and not route.is_signed:
                raise RouteError(
                    f"{route.format!r} takes only proven mail, and nothing is proven: set"
                    " authserv_id to the name that your own server gives itself in"
                    " Authentication-Results",
                    file=route.file,
                    line=route.line,
                )

    @property
    def unproven_actions(self) -> tuple[Route, ...]:
        """The routes by which whoever writes in another's name has an `@action` done to him."""
        return tuple(
            route
            for route in (*self.routes, *self._error_routes.values())
            if route.handler.is_action and not route.proven and not route.is_signed
        )

    @property
    def has_spam_filters(self) -> bool:
        """There is a handler that spam is kept from."""
        routes = (*self.routes, *self._error_routes.values())
        return any(route.handler.spam_filter is not None for route in routes)

    def reserve(self, takes: Callable[[str], bool], function: Callable[..., Any]) -> None:
        """Have ``function`` handle the reserved addresses that ``takes`` knows, before all routes.

        They are no addresses of the application: none of its routes and domains shows them.
        """
        handler = Handler(function, is_stateless=True)
        pattern = compile_format(re.escape(PREFIX) + ".+", {})
        self._reserved = takes, Route(pattern.format, handler, pattern, handler.file, handler.line)

    def match(self, address: str) -> tuple[Match, ...]:
        """The routes of an address, one per handler, in definition order; () if it is not routed.

        Where a state matches, the ERROR state of its module does too, after all others.
        Takes microseconds whatever the number of routes, and never raises.
        """
        if self._reserved is not None and is_like_one(address):
            takes, route = self._reserved
            if takes(address):
                return (Match(route, address),)
        routes = self._matcher.find(address)
        if len(routes) == 1 and not self._error_routes:
            return (Match(routes[0], address),)
        errors: dict[Handler, Route] = {}
        for route in routes:
            error = self._error_routes.get(route)
            if error is not None:
                errors.setdefault(error.handler, error)
        return tuple([Match(route, address) for route in (*routes, *errors.values())])

    def explain(self, address: str) -> list[Explanation]:
        """What becomes of each route for this address, in definition order."""
        return [
            Explanation(route, route.pattern.match(address), why_not(route.pattern, address))
            for route in self.routes
        ]

    def error_state(self, module: str) -> Handler | None:
        """The function ERROR of a handler module, None where it has none."""
        known = self._modules.get(module)  # none where the handler is of ours, not of the project
        return None if known is None else known.error

    def state_key(self, match: Match, message: object) -> str:
        """What the sender's state is kept for: the module's name, or what the module makes of it.

        Raises what the module's `@state_key_generator` raises, RouteError if it gives no text.
        """
        module = self._modules[match.handler.module]
        generate = module.state_key_generator
        if generate is None:
            return module.name
        key = generate(module.name, message)
        if not isinstance(key, str) or not key:
            raise RouteError(
                f"{module.name}.{generate.__name__} returned {key!r}: a state key is a text",
                file=module.file,
            )
        return key

    def next_state(self, handler: Handler, returned: object) -> str | None:
        """The name of the state that a handler asked for by what it returned; None to stay.

        Raises RouteError where that is neither a state of its module nor the name of one.
        """
        if returned is None:
            return None
        states = self._modules[handler.module].states
        if isinstance(returned, str) and returned in states:
            return returned
        for name, state in states.items():
            if state.function is returned:
                return name
        shown = getattr(returned, "__qualname__", None) or repr(returned)
        raise RouteError(
            f"{handler} returned {shown}, which is no state of its module; it has"
            f" {', '.join(states) or 'none'}",
            file=handler.file,
            line=handler.line,
        )

    def _routes_of_errors(self) -> Iterator[tuple[Route, Route]]:
        """By a state's route, the same route for the ERROR of its module.

        A sender in that state is answered by it whatever address is written to. An ERROR with
        routes of its own has only those.
        """
        routed = {route.handler for route in self.routes}
        for route in self.routes:
            error = self._modules[route.handler.module].error
            if error is not None and error not in routed and not route.handler.is_stateless:
                error.check_captures(route.pattern.names, file=error.file, line=error.line)
                yield route, replace(route, handler=error)
