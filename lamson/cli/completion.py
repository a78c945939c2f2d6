"""`lamson completion`: what a shell needs to complete our commands and options.

The shell asks the command itself, by click's own mechanism: with ``_LAMSON_COMPLETE`` in the
environment it answers, and does nothing else. Options are offered with one dash, as we spell them,
and with two where somebody began so.
"""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from lamson.cli.group import lamson
from lamson.cli.options import command

SHELLS = ("bash", "zsh", "fish")


@command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print what has a shell complete commands and options, for its start-up file.

    \b
    Example:
      eval "$(lamson completion bash)"                    # in ~/.bashrc
      eval "$(lamson completion zsh)"                     # in ~/.zshrc, after compinit
      lamson completion fish > ~/.config/fish/completions/lamson.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    made = found(lamson, {}, "lamson", "_LAMSON_COMPLETE")
    # Not that of bash, which starts one to see whether it is new enough.
    click.echo(ShellComplete.source(made), nl=False)
