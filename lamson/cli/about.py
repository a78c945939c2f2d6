"""`lamson help` and `lamson version`."""

from __future__ import annotations

import click

from lamson.cli.group import COMMANDS, completed, explanation, overview, subcommands, unknown
from lamson.cli.options import command, option


@command("help")
@option(
    "for",
    dest="name",
    metavar="NAME",
    help="The command to explain.",
    shell_complete=lambda context, parameter, incomplete: completed(incomplete),
)
@option("man", is_flag=True, help="Print all as a manual page: lamson help -man | man -l -")
@option("reference", is_flag=True, hidden=True, help="Print docs/reference/commands.md.")
@click.argument("topic", required=False, metavar="[NAME]")
def help_command(name: str | None, man: bool, reference: bool, topic: str | None) -> None:
    """Show all commands, or how one of them is used.

    \b
    Example:
      lamson help -for send
      lamson help -for "postfix plan"
    """
    name = name or topic
    if man:
        from lamson.cli.man import page

        click.echo(page(), nl=False)
    elif reference:
        from lamson.cli.reference import commands

        click.echo(commands(), nl=False)
    elif name is None:
        click.echo(overview(), nl=False)
    else:
        first, *rest = name.split() or [""]
        if first not in COMMANDS:
            raise click.UsageError(unknown(first))
        if rest and rest not in [[one] for one in subcommands(first)]:
            raise click.UsageError(f"lamson {first} has no command {' '.join(rest)!r}")
        click.echo(explanation(name))


@command("version")
def version_command() -> None:
    """Show the version.

    \b
    Example:
      lamson version
    """
    from importlib import metadata

    try:
        click.echo(f"lamson {metadata.version('lamson-postfix')}")
    except metadata.PackageNotFoundError:
        click.echo("lamson, run from its source without being installed")
