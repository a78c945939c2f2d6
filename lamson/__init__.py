"""Write e-mail applications the way you write web applications, behind Postfix.

These names are the public interface; everything else may change. They load when they are first
used, so that a command which needs none of them starts at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamson.delivery import Delivery
    from lamson.errors import LamsonError, SMTPError
    from lamson.mail import MailRequest, MailResponse
    from lamson.routing import State, route, route_like, state_key_generator, stateless

__all__ = [
    "Delivery",
    "LamsonError",
    "MailRequest",
    "MailResponse",
    "SMTPError",
    "State",
    "route",
    "route_like",
    "state_key_generator",
    "stateless",
]

_HOME = {
    "Delivery": "lamson.delivery",
    "LamsonError": "lamson.errors",
    "MailRequest": "lamson.mail",
    "MailResponse": "lamson.mail",
    "SMTPError": "lamson.errors",
    "State": "lamson.routing",
    "route": "lamson.routing",
    "route_like": "lamson.routing",
    "state_key_generator": "lamson.routing",
    "stateless": "lamson.routing",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'lamson' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
