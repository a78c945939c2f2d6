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
from lamson.routing.declaration import HANDLERS, threads_among
from lamson.routing.handler import INJECTED_IN_OURS, Handler
from lamson.routing.loader import load
from lamson.routing.matcher import Matcher
from lamson.routing.module import START, HandlerModule
from lamson.routing.pattern import compile_format
from lamson.routing.purposes import Purposes, Verified
from lamson.routing.why_not import why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from lamson.routing.clockwork import Scheduled, Timeout
    from lamson.routing.function import Function
    from lamson.routing.pattern import Pattern
    from lamson.routing.signing import Signed, Signer, Token

_NOTHING = "(?!)"  # matches no address
_NONE_CAPTURED = Verified({}, (), ())


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One format of one handler; ``file`` and ``line`` say where its decorator stands.

    ``signed`` are its captures that match only what was signed: ``pattern`` has their form alone.
    ``proven``: it takes only mail whose author is proven.
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
        """Whether an address matches only with a valid token in it, which is a proof."""
        return bool(self.signed)


class Match:
    """A route that an address matches, and what it captured of the address.

    ``tokens`` were verified, of which ``redeems`` count once: their payloads are in the captures.
    """

    __slots__ = ("_address", "_captures", "handler", "redeems", "route", "tokens")

    def __init__(self, route: Route, address: str, verified: Verified | None = None) -> None:
        self.route = route
        self.handler = route.handler
        self._address = address
        self._captures: dict[str, str] | None = None
        self.tokens: tuple[Token, ...] = ()
        self.redeems: tuple[Token, ...] = ()
        if verified is not None:
            self._captures, self.tokens, self.redeems = verified

    @property
    def captures(self) -> dict[str, str]:
        """Found when first asked for: whether an address is routed at all needs none."""
        if self._captures is None:
            self._captures = self.route.pattern.match(self._address) or {}
        return self._captures

    def __repr__(self) -> str:
        return f"<Match {self.handler} {self.captures}>"


class Momentary(tuple[Match, ...]):
    """What matches now, and perhaps not later: a token in the address ends. None may be so, too."""

    __slots__ = ()


class Explanation(NamedTuple):
    """What became of one route: what it captured, else None and the reason in words."""

    route: Route
    captures: dict[str, str] | None
    why_not: str


class Router:
    """All routes of an application, in the order of the modules and of their functions.

    ``modules`` are the names of the handler modules, ``purposes`` what its addresses are signed
    for; ``threaded`` are the handlers that a thread has to be found for.
    """

    def __init__(
        self,
        modules: Sequence[HandlerModule],
        defaults: Mapping[str, str],
        *,
        signer: Signer | None = None,
    ) -> None:
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
        for module in modules:
            own = (route for route in self.routes if route.handler.module == module.name)
            module.clockwork.check_captures({name for one in own for name in one.pattern.names})
        self.purposes = Purposes(self.routes, signer)
        self._is_signed = bool(self.purposes)
        self._error_routes = dict(self._routes_of_errors())
        self._all_routes = (*self.routes, *self._error_routes.values())
        handlers = {route.handler for route in self._all_routes}
        self.threaded = frozenset(
            one for one in handlers if one.needs_thread or self.is_per_thread(one)
        )
        self._matcher = Matcher(self.routes)
        self._reserved: dict[str, tuple[Callable[[str], bool], Route]] = {}
        self._begin = re.compile(_NOTHING)

    @classmethod
    def collect(
        cls,
        modules: Sequence[str],
        defaults: Mapping[str, str],
        *,
        signer: Signer | None = None,
    ) -> Router:
        """Import the handler modules and build their Router.

        ``defaults`` are the patterns of the captures for which a decorator gives none, the setting
        `route_defaults`. ``signer`` verifies the signed ones: without it no address of such a route
        matches. Raises RouteError for whatever could not work.
        """
        found = [HandlerModule(module) for module in load(modules, HANDLERS)]
        return cls(found, defaults, signer=signer)

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

    def refuse_without_database(self) -> None:
        """Raise RouteError for what would fail with every mail: there is no database.

        A token that counts once is noted there, and what some handlers take comes from there.
        """
        if (once := self.purposes.once()) is not None:
            raise RouteError(
                "a token that counts once needs a database: set `database` in the settings, or"
                " leave out once=True",
                file=once.file,
                line=once.line,
            )
        for route in self._all_routes:
            handler = route.handler
            if handler.needs_session or handler in self.threaded:
                what = "a Session" if handler.needs_session else "a Thread"
                raise RouteError(
                    f"{handler.name} takes {what}, which needs a database: set `database` in the"
                    " settings",
                    file=handler.file,
                    line=handler.line,
                )

    @property
    def unproven_actions(self) -> tuple[Route, ...]:
        """The routes by which whoever writes in another's name has an `@action` done to him."""
        return tuple(
            route
            for route in self._all_routes
            if route.handler.is_action and not route.proven and not route.is_signed
        )

    @property
    def has_spam_filters(self) -> bool:
        """There is a handler that spam is kept from."""
        return any(route.handler.spam_filter is not None for route in self._all_routes)

    def reserve(
        self, prefix: str, takes: Callable[[str], bool], function: Callable[..., Any]
    ) -> None:
        """Have ``function`` handle the reserved addresses that ``takes`` knows, before all routes.

        They begin with ``prefix``. They are no addresses of the application: none of its routes and
        domains shows them.
        """
        handler = Handler(function, is_stateless=True, injectable=INJECTED_IN_OURS)
        pattern = compile_format(re.escape(prefix) + ".+", {})
        route = Route(pattern.format, handler, pattern, handler.file, handler.line)
        self._reserved[prefix] = takes, route
        begins = "|".join(map(re.escape, self._reserved))
        self._begin = re.compile(begins, re.IGNORECASE | re.ASCII)

    def match(self, address: str, redeemed: Collection[bytes] = ()) -> tuple[Match, ...]:
        """The routes of an address, one per handler, in definition order; () if it is not routed.

        Where a state matches, the ERROR state of its module does too, after all others. Where a
        token was looked at, or a reserved prefix, it is a `Momentary`: a clock or a key may be
        another one later. ``redeemed`` are the digests of tokens that count no more.
        Takes microseconds whatever the number of routes, and never raises.
        """
        if begun := self._begin.match(address):
            takes, route = self._reserved[begun[0].lower()]
            if takes(address):
                return Momentary((Match(route, address, _NONE_CAPTURED),))
            return Momentary(self._match(address, redeemed))
        return self._match(address, redeemed)

    def _match(self, address: str, redeemed: Collection[bytes]) -> tuple[Match, ...]:
        if self._is_signed:
            found = self._matcher.find_all(address)
            for route in found:
                if route.signed:
                    return self._match_signed(found, address, redeemed)
        routes = self._matcher.find(address)
        if len(routes) == 1 and not self._error_routes:
            return (Match(routes[0], address),)
        errors: dict[Handler, Route] = {}
        for route in routes:
            error = self._error_routes.get(route)
            if error is not None:
                errors.setdefault(error.handler, error)
        return tuple([Match(route, address) for route in (*routes, *errors.values())])

    def _match_signed(
        self, routes: Sequence[Route], address: str, redeemed: Collection[bytes]
    ) -> Momentary:
        """Those of the ``routes`` whose signed captures hold what was signed."""
        found: dict[Handler, Match] = {}
        errors: dict[Handler, Match] = {}
        for route in routes:
            if route.handler in found:
                continue
            verified = None
            if route.signed:
                verified = self.purposes.verify(route, address, redeemed)
                if verified is None:
                    continue
            found[route.handler] = Match(route, address, verified)
            error = self._error_routes.get(route)
            if error is not None:
                errors.setdefault(error.handler, Match(error, address, verified))
        return Momentary((*found.values(), *errors.values()))

    def explain(self, address: str) -> list[Explanation]:
        """What becomes of each route for this address, in definition order. For the operator."""
        return [self._explain(route, address) for route in self.routes]

    def _explain(self, route: Route, address: str) -> Explanation:
        captures = route.pattern.match(address)
        if captures is None or not route.signed:
            return Explanation(route, captures, why_not(route.pattern, address))
        verified = self.purposes.verify(route, address)
        if verified is None:
            names = " or ".join(name for name, _ in route.signed)
            return Explanation(route, None, f"{names}: forged or expired")
        return Explanation(route, verified.captures, "")

    def error_state(self, module: str) -> Handler | None:
        """The function ERROR of a handler module, None where it has none."""
        known = self._modules.get(module)  # none where the handler is of ours, not of the project
        return None if known is None else known.error

    def outcome(self, module: str) -> Handler | None:
        """The @outcome function of a handler module, None where it has none, or is gone."""
        known = self._modules.get(module)
        return None if known is None else known.outcome

    @property
    def has_outcomes(self) -> bool:
        """Whether a module wants to know what became of its mail."""
        return any(module.outcome is not None for module in self._modules.values())

    def is_per_thread(self, handler: Handler) -> bool:
        """Whether the states of its module are kept for threads, not for authors."""
        module = self._modules.get(handler.module)
        return module is not None and bool(module.thread_parameter)

    @property
    def timeouts(self) -> dict[str, dict[str, list[Timeout]]]:
        """The timeouts by module and state, of the modules that have some."""
        found = {name: module.clockwork.timeouts for name, module in self._modules.items()}
        return {name: timeouts for name, timeouts in found.items() if timeouts}

    @property
    def schedules(self) -> list[Scheduled]:
        """The functions that run at their times, in definition order."""
        return [one for module in self._modules.values() for one in module.clockwork.schedules]

    @property
    def background(self) -> list[Function]:
        """The functions that do work after a commit."""
        return [one for module in self._modules.values() for one in module.clockwork.background]

    def states(self, module: str) -> list[str]:
        """The names of the states of a module, `START` first: there everybody begins."""
        return list(dict.fromkeys((START, *self._modules[module].states)))

    def shares_states(self, module: str) -> bool:
        """Whether another module may move the correspondents of this one, by the same keys."""
        return self._modules[module].state_key_generator is not None

    def makes_state_keys(self, handler: Handler) -> bool:
        """Whether its module has a `@state_key_generator`."""
        module = self._modules.get(handler.module)
        return module is not None and module.state_key_generator is not None

    def state_key(self, match: Match, message: object, thread: object = None) -> str:
        """What the sender's state is kept for: the module's name, or what the module makes of it.

        Raises what the module's `@state_key_generator` raises, RouteError if it gives no text.
        """
        module = self._modules[match.handler.module]
        generate = module.state_key_generator
        if generate is None:
            return module.name
        named = {module.thread_parameter: thread} if module.thread_parameter else {}
        key = generate(module.name, message, **named)
        if not isinstance(key, str) or not key:
            raise RouteError(
                f"{module.name}.{generate.__name__} returned {key!r}: a state key is a text",
                file=module.file,
            )
        return key

    def next_state(self, handler: Handler | Function, returned: object) -> str | None:
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
                error.check_captures(
                    route.pattern.names,
                    file=error.file,
                    line=error.line,
                    threads=threads_among(route.signed),
                )
                yield route, replace(route, handler=error)
