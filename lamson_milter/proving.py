"""Refuses what nothing proves, while its sender is connected, where the routes want proof.

A filter that is there by itself, for the addresses of routes with ``proven=True``. At the end of
data, behind Postfix, a refusal would be a bounce to whom a stranger named. It refuses a message
only where each of its recipients wants proof, as SMTP has one answer for all of them, and only
where our own server has looked at DMARC or DKIM by then: a milter that stands behind ours in
`smtpd_milters` has not yet. What passes here is looked at again by `lamson.delivery.run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.routing.handler import Handler
from lamson.smtp.reply import UNPROVEN
from lamson_milter.actions import Reject
from lamson_milter.filters import MESSAGE, Filter

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.results import OwnServer
    from lamson.routing.router import Router
    from lamson_milter.actions import Verdict
    from lamson_milter.subjects import FilteredMail


def filters_for_proof(router: Router, server: OwnServer | None) -> list[Filter]:
    """The filters, one for each such route; none without a server that proves anything."""
    if server is None:
        return []
    handler = Handler(_refusing(router, server))
    return [
        Filter(
            route.format, handler, route.pattern, route.file, route.line, MESSAGE, 0, False, True
        )
        for route in router.routes
        if route.proven and not route.is_signed
    ]


def _refusing(router: Router, server: OwnServer) -> Callable[..., Verdict]:
    def wants_proof(recipient: str) -> bool:
        routes = [match.route for match in router.match(recipient)]
        return bool(routes) and all(route.proven and not route.is_signed for route in routes)

    def refuse_unproven(message: FilteredMail, **captures: str) -> Verdict:
        if server.author(message) is not None or not server.has_looked(message):
            return None
        if not all(map(wants_proof, message.envelope.recipients)):
            return None
        return Reject(UNPROVEN.enhanced, UNPROVEN.text, UNPROVEN.code)

    return refuse_unproven
