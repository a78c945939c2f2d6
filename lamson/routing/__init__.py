"""Which handlers an address belongs to, and what a handler module says of its functions."""

from lamson.routing.decorators import (
    Explanation,
    Handler,
    Match,
    Route,
    Router,
    State,
    route,
    route_like,
    state_key_generator,
    stateless,
)

__all__ = [
    "Explanation",
    "Handler",
    "Match",
    "Route",
    "Router",
    "State",
    "route",
    "route_like",
    "state_key_generator",
    "stateless",
]
