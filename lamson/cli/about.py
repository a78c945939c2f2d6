"""`lamson help` and `lamson version`."""

from __future__ import annotations

import click

from lamson.cli.group import COMMANDS, lamson, overview, unknown
from lamson.cli.options import command, option


@command("help")
@option("for", dest="name", metavar="NAME", help="The command to explain.")
@option("reference", is_flag=True, hidden=True, help="Print docs/reference/commands.md.")
@click.argument("topic", required=False, metavar="[NAME]")
def help_command(name: str | None, reference: bool, topic: str | None) -> None:
    """Show all commands, or how one of them is used.

    \b
    Example:
      lamson help -for send
    """
    name = name or topic
    if reference:
        from lamson.cli.reference import commands

        click.echo(commands(), nl=False)
    elif name is None:
        click.echo(overview(), nl=False)
    elif name not in COMMANDS:
        raise click.UsageError(unknown(name))
    else:
        click.echo(explanation(name))


def explanation(name: str, width: int | None = None) -> str:
    """The usage of a command, with its options, ``width`` columns wide (as the terminal is)."""
    with click.Context(lamson, info_name="lamson") as parent:
        explained = lamson.get_command(parent, name)
        assert explained is not None
        with explained.make_context(
            name, [], parent, resilient_parsing=True, terminal_width=width, max_content_width=100
        ) as own:
            return explained.get_help(own)


@command("version")
def version_command() -> None:
    """Show the version.

    \b
    Example:
      lamson version
    """
    from importlib import metadata

    try:
        click.echo(f"lamson {metadata.version('lamson')}")
    except metadata.PackageNotFoundError:
        click.echo("lamson, run from its source without being installed")
