"""A Matcher: of many routes, those that an address takes, one for each function.

For the Router, and for the filters of the milter, which are routed by recipient as handlers are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from lamson.routing.pattern_set import PatternSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.routing.handler import Handler
    from lamson.routing.pattern import Pattern


class Routed(Protocol):
    """A function and the addresses that are for it."""

    @property
    def handler(self) -> Handler: ...

    @property
    def pattern(self) -> Pattern: ...


_Routed = TypeVar("_Routed", bound=Routed)


class Matcher(Generic[_Routed]):
    """``routes`` stand in the order in which they are tried."""

    def __init__(self, routes: Sequence[_Routed]) -> None:
        self.routes = tuple(routes)
        self._set = PatternSet([route.pattern for route in self.routes])

    def find(self, address: str) -> list[_Routed]:
        """The routes of an address, the first one for each function, in order.

        Takes microseconds whatever the number of routes, and never raises.
        """
        routes = self.find_all(address)
        if len(routes) < 2:
            return routes
        found: dict[Handler, _Routed] = {}
        for route in routes:
            found.setdefault(route.handler, route)
        return list(found.values())

    def find_all(self, address: str) -> list[_Routed]:
        """As `find`, with all routes of each function."""
        return [self.routes[number] for number in self._set.match(address)]

    def match(self, address: str) -> list[tuple[_Routed, dict[str, str]]]:
        """As `find`, each with what it captures."""
        if len(self.routes) == 1:  # no set is needed to choose from one
            captures = self.routes[0].pattern.match(address)
            return [] if captures is None else [(self.routes[0], captures)]
        return [(route, route.pattern.match(address) or {}) for route in self.find(address)]
