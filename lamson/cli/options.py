"""Options and commands as Lamson spells them: ``-project`` and ``--project`` are the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.types import OptionHelpExtra

    from lamson.settings.model import Settings

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])

DECLINED = 130  # as after Ctrl-C, 128 + SIGINT
HELP = {"help_option_names": ["-h", "-help", "--help"]}


class _Port(click.IntRange):
    name = "port number"  # in messages


class Seconds(click.FloatRange):
    """A time to wait, which "nan" and "inf" are not."""

    name = "number of seconds"  # in messages

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return seconds


class Command(click.Command):
    """Has its help option without showing it: who sees the help knows."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        found = super().get_help_option(ctx)
        if found is not None:
            found.hidden = True
        return found

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Options in one spelling: with two dashes where somebody began so."""
        found = super().shell_complete(ctx, incomplete)
        if not incomplete.startswith("-") or incomplete.startswith("--"):
            return found
        shown = {one.opts[0] for one in self.params if isinstance(one, click.Option)}
        return [one for one in found if one.value in shown]


# What an option takes, by its name in the help.
_COMPLETED_AS = {"FILE": "file", "PATH": "file", "DIR": "dir"}


class _Option(click.Option):
    """Shows one spelling in the help; the others are the same with two dashes or in lower case."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None:
            return None
        value = "" if self.is_flag else f" {self.make_metavar(ctx)}"
        return f"{self.opts[0]}{value}", record[1]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """A path where one is expected."""
        if kind := _COMPLETED_AS.get(self.metavar or ""):
            return [CompletionItem(incomplete, type=kind)]
        return super().shell_complete(ctx, incomplete)

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


def option(
    *names: str, dest: str | None = None, **attributes: Any
) -> Callable[[Decorated], Decorated]:
    """An option with every name in its old spelling (one dash) and the usual one (two).

    A name in capitals, such as ``FORCE``, works in lower case too. ``dest`` is the parameter's name
    where the first name cannot be it.
    """
    spellings: list[str] = []
    for name in names:
        for form in dict.fromkeys((name, name.lower())):
            spellings += [f"-{form}"] if len(form) == 1 else [f"-{form}", f"--{form}"]
    destination = dest or names[0].lower().replace("-", "_")
    return click.option(*spellings, destination, cls=_Option, **attributes)


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command; its docstring is its help."""
    return click.command(name, cls=Command, context_settings=HELP)


def port(default: int) -> Callable[[Decorated], Decorated]:
    """The option ``-port``."""
    return option(
        "port",
        type=_Port(0, 65535),
        default=default,
        show_default=True,
        metavar="NUMBER",
        help="TCP port.",
    )


def ask(question: str) -> None:
    """Go on only where somebody agrees. Raises LamsonError where nobody does or is there."""
    try:
        if click.confirm(question):
            return
    except click.Abort:
        click.echo(err=True)
        problem = "nothing was done: expected an answer; with -FORCE nobody is asked"
        raise LamsonError(problem, exit_code=DECLINED) from None
    raise LamsonError("nothing was done", exit_code=DECLINED)


def printable(text: str) -> str:
    """A stranger's text without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


def project() -> Path:
    """The project that the current directory belongs to. Raises SettingsError."""
    from lamson.settings import loading

    return loading.find_project(Path.cwd())


def settings() -> Settings:
    """The settings of that project. Raises SettingsError."""
    from lamson.settings import loading

    return loading.load(project())


def entered() -> Settings:
    """The same, for a command that writes into the run directory, which is closed to others.

    Raises LamsonError where it is another user's.
    """
    from lamson.service import premises

    effective = settings()
    for text in premises.enter(project(), effective):
        click.echo(f"lamson: {text}", err=True)
    return effective
