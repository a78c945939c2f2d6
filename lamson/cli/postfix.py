"""`lamson postfix maps`, `plan`, `apply` and `check`: what Postfix has to know of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamson.cli.options import HELP, command, option, settings

if TYPE_CHECKING:
    from lamson.domains import Domains
    from lamson.router import Router
    from lamson.settings import Settings

DIRECTORY = Path("postfix")  # below run_dir


@click.group("postfix", context_settings=HELP)
def postfix_command() -> None:
    """Set up the Postfix in front of the project, and look it over.

    \b
    Example:
      lamson postfix plan
      lamson postfix apply
      lamson postfix check
    """


@command("maps")
@option("directory", metavar="DIR", help="Where to write them. Default: run/postfix.")
@option(
    "type",
    dest="kind",
    type=click.Choice(["regexp", "pcre"]),
    default="regexp",
    show_default=True,
    help="The kind of tables.",
)
def maps_command(directory: str | None, kind: str) -> None:
    """Write the tables transport, recipients and domains, made from the routes.

    For a Postfix that is not to depend on the socketmap. Each table is tried out with postmap
    before it replaces the old one. Make them anew, and say `postfix reload`, whenever the routes
    have changed.

    \b
    Example:
      lamson postfix maps
    """
    from lamson.postfix import tables

    effective = settings()
    router, domains = _routes(effective)
    target = Path(directory) if directory else effective.run_dir / DIRECTORY
    made = tables.make(router, domains, effective.next_hop)
    for path in tables.write(target.absolute(), kind, made):
        click.echo(f"wrote {kind}:{path}")


def _routes(effective: Settings) -> tuple[Router, Domains]:
    from lamson.domains import Domains
    from lamson.router import Router

    router = Router.collect(effective.handlers, effective.route_defaults)
    return router, Domains(router.routes, effective.domains)


postfix_command.add_command(maps_command)
