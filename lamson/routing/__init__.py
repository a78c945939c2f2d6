"""Which handlers an address belongs to, and what a handler module says of its functions.

These names are public, as are those of `lamson`; the modules beside may change.
"""

from __future__ import annotations

from lamson.routing.decorators import (
    State,
    outcome,
    route,
    route_like,
    state_key_generator,
    stateless,
)
from lamson.routing.handler import Handler
from lamson.routing.router import Explanation, Match, Route, Router
from lamson.routing.timely import background, every, timeout

__all__ = [
    "Explanation",
    "Handler",
    "Match",
    "Route",
    "Router",
    "State",
    "background",
    "every",
    "outcome",
    "route",
    "route_like",
    "state_key_generator",
    "stateless",
    "timeout",
]
