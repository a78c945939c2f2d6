"""`lamson routes` and `lamson config`: what a project consists of, all things put together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, option, project, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lamson.routing.router import Route, Router
    from lamson_milter.filters import Filter, Filters

NOT_ROUTED = 1


@command("routes")
@option("test", metavar="ADDRESS", help="Show what becomes of mail to this address.")
def routes_command(test: str | None) -> int:
    """Show the routes in the order in which they are tried, or those that an address takes.

    The filters of the milter stand below them.

    With -test every route says what it captures of the address, or why it does not match; the exit
    status is 1 where none does, and 64 where it is no address.

    \b
    Example:
      lamson routes
      lamson routes -test users-subscribe@test.com
    """
    from lamson.cli.send import checked
    from lamson.settings.loading import placing
    from lamson.settings.routes import collect_routes, doubts
    from lamson.smtp.address import parse_mailbox

    if test is not None:  # as the LMTP server reads it, which tells its routes the canonical form
        test = parse_mailbox(checked(test, "-test"), smtputf8=True)
    effective = settings()
    filters: Filters | None = None
    with placing(project()):
        router = collect_routes(effective)
        if effective.filters:
            from lamson_milter.filters import Filters

            filters = Filters.collect(effective.filters, effective.route_defaults)
    for route, doubt in doubts(router):
        click.echo(f"lamson: {route.file}:{route.line}: {doubt}", err=True)
    if test is None:
        return _list(router, filters)
    status = _test(router, test)
    if filters is not None:
        _test_filters(filters, test)
    return status


def _list(router: Router, filters: Filters | None) -> int:
    _print(
        (
            str(number),
            route.format,
            str(route.handler),
            _place(route.file, route.line),
            _kind(route),
        )
        for number, route in enumerate(router.routes, 1)
    )
    if filters is not None:
        click.echo("filters of the milter:")
        _print(
            (one.stage, one.format or "all", str(one), _place(one.file, one.line), _reads(one))
            for one in filters.all
        )
    return os.EX_OK


def _kind(route: Route) -> str:
    """What else its decorators say."""
    from lamson.routing.declaration import threads_among

    kinds = {
        "stateless": route.handler.is_stateless,
        "proven": route.proven,
        "action": route.handler.is_action,
        "WITHOUT PROOF": route.handler.is_action and not (route.proven or route.is_signed),
    }
    if route.handler.spam_filter is not None:
        kinds["no spam"] = True
    threads = threads_among(route.signed)
    signed = [
        f"({name}) signed: {one.purpose}, "
        + ("as long as its thread is kept" if name in threads else f"{one.days:g} days")
        + (", once" if one.once else "")
        for name, one in route.signed
    ]
    words = " ".join(kind for kind, applies in kinds.items() if applies)
    return ", ".join(filter(None, (words, *signed)))


def _reads(one: Filter) -> str:
    """How much of the body a filter reads."""
    if one.stage != "message":
        return ""
    if one.body is True:
        return "whole body"
    return f"body up to {one.body} octets" if one.body else "header"


def _test_filters(filters: Filters, address: str) -> None:
    whole: list[tuple[Filter, Mapping[str, str]]] = [(one, {}) for one in filters.whole]
    asked = [*filters.recipient.match(address), *whole, *filters.message.match(address)]
    for one, captures in asked:
        values = ", ".join(f"{name}={value}" for name, value in captures.items())
        click.echo(f"{address} is asked about by {one} ({one.stage})" + (values and f": {values}"))


def _test(router: Router, address: str) -> int:
    found = {match.route for match in router.match(address)}
    rows = []
    for number, (route, captures, why_not) in enumerate(router.explain(address), 1):
        if captures is None:
            verdict = f"no: {why_not}"
        else:
            verdict = "yes" if route in found else "yes, but its handler was found already"
            values = ", ".join(f"{name}={value}" for name, value in captures.items())
            verdict += f": {values}" if values else ""
            if route.proven:
                verdict += "; only of a proven author"
        rows.append((str(number), route.format, str(route.handler), verdict))
    _print(rows)
    if not found:
        click.echo(f"{address} is not routed: it is refused with 550 5.1.1")
        return NOT_ROUTED
    stateless = [match.handler for match in router.match(address) if match.handler.is_stateless]
    states = [match.handler for match in router.match(address) if not match.handler.is_stateless]
    for handler in stateless:
        click.echo(f"{address} runs {handler} (stateless)")
    if states:
        click.echo(
            f"{address} runs the first of these whose state its sender is in (at first START): "
            + ", ".join(map(str, states))
        )
    return os.EX_OK


def _place(file: str, line: int) -> str:
    relative = os.path.relpath(file)
    return f"{file if relative.startswith('..') else relative}:{line}"


@command("config")
@option("reference", is_flag=True, hidden=True, help="Print docs/reference/settings.md.")
def config_command(reference: bool) -> None:
    """Show the settings of the project and where each comes from. Secrets are not shown.

    Variables called LAMSON_... that set nothing are named on standard error.

    \b
    Example:
      lamson config
    """
    if reference:
        from lamson.cli.reference import settings as settings_reference

        click.echo(settings_reference(), nl=False)
        return
    from lamson.settings import loading
    from lamson.settings.strays import strays

    where = project()
    _print((origin.key, origin.value, origin.where) for origin in loading.origins(where))
    for text in strays(where):
        click.echo(f"lamson: {text}", err=True)


def _print(rows: Iterable[Sequence[str]]) -> None:
    """Columns, each as wide as it needs to be, within reason."""
    table = [list(row) for row in rows]
    widths = [min(max(map(len, column)), 48) for column in zip(*table, strict=True)]
    for row in table:
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())
