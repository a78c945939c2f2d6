"""Which handlers an address belongs to, and what a handler module says of its functions.

These names are public, as are those of `lamson`; the modules beside may change.
"""

from __future__ import annotations

from lamson.routing.decorators import (
    State,
    action,
    outcome,
    route,
    route_like,
    spam_filter,
    state_key_generator,
    stateless,
)
from lamson.routing.handler import Handler
from lamson.routing.router import Explanation, Match, Route, Router
from lamson.routing.signing import Signed

__all__ = [
    "Explanation",
    "Handler",
    "Match",
    "Route",
    "Router",
    "Signed",
    "State",
    "action",
    "outcome",
    "route",
    "route_like",
    "spam_filter",
    "state_key_generator",
    "stateless",
]
