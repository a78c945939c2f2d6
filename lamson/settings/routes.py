"""The routes of the handler modules that the settings name.

For whatever matches addresses: the service's processes, and the commands that show or write routes.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING

from lamson.errors import RouteError
from lamson.message.templates import RESERVED
from lamson.routing.router import Router
from lamson.settings.keys import signer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lamson.routing.router import Route
    from lamson.settings.model import Settings


def collect_routes(
    settings: Settings, *, clock: Callable[[], float] = time.time, believed: float = math.inf
) -> Router:
    """Import the handler modules and build their Router. Raises RouteError.

    Captures are given to templates, so none may have a name that templates need for themselves.
    Tokens that count once, and handlers that take a session, need a database. What acts for an
    author wants him proven, and somebody has to be there who proves. ``clock`` is what tokens end
    by; for ``believed`` see `signer_of`.
    """
    signer = signer_of(settings, clock=clock, believed=believed)
    router = Router.collect(settings.handlers, settings.route_defaults, signer=signer)
    router.refuse_captures(RESERVED)
    if settings.database is None:
        router.refuse_without_database()
    if settings.authserv_id is None:
        router.refuse_unprovable()
    for route in router.unproven_actions if settings.unproven_actions == "refuse" else ():
        raise RouteError(unproven_action(route), file=route.file, line=route.line)
    return router


_PLUS = re.compile(r"(?<!\\)([A-Za-z0-9])\+(?=[@(])")
_MAY_BE_AN_AT = re.compile(r"@|(?<!\\)\.|\[\^|\[[^\]]*[ -?]-[A-~]|\\[DPWSpx]")
_AROUND_ADDRESSES = re.compile(r"\A\^?(?:mailto:|<)|(?<!\\)>\$?\Z|\A[^\"\[]* ")
_WITHOUT_DOMAIN = "postmaster"  # RFC 5321 section 4.1.1.3


def doubts(router: Router) -> Iterator[tuple[Route, str]]:
    """Routes that are right, and hardly what is meant: one for each route, and why."""
    for route in router.routes:
        if found := _PLUS.search(route.format):
            yield (
                route,
                f"the + in {route.format!r} repeats the {found[1]!r} before it: write \\+ for a"
                f" plus sign, or (?:{found[1]})+ where that is meant",
            )
        elif route.pattern.engine == "re2" and _AROUND_ADDRESSES.search(route.format):
            yield (
                route,
                f"{route.format!r} matches no address: it stands there without mailto:, brackets"
                " and blanks",
            )
        elif (
            not _MAY_BE_AN_AT.search(route.pattern.source)
            and route.pattern.match(_WITHOUT_DOMAIN) is None
        ):
            yield route, f"{route.format!r} matches no address: it has no @"


def unproven_action(route: Route) -> str:
    """What is wrong with it, and what to do."""
    return (
        f"{route.handler.name} is marked @action, and {route.format!r} has it done for whoever"
        " writes in somebody's name: add proven=True to the route, or capture a Signed token in it"
        ' (or set unproven_actions to "warn")'
    )
