"""The routes of the handler modules that the settings name.

For whatever matches addresses: the service's processes, and the commands that show or write routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.message.templates import RESERVED
from lamson.routing.router import Router

if TYPE_CHECKING:
    from lamson.settings.model import Settings


def collect_routes(settings: Settings) -> Router:
    """Import the handler modules and build their Router. Raises RouteError.

    Captures are given to templates, so none may have a name that templates need for themselves.
    """
    router = Router.collect(settings.handlers, settings.route_defaults)
    router.refuse_captures(RESERVED)
    return router
