"""The table of commands, how each is explained, and the group that imports one when it is used."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from difflib import get_close_matches

import click
from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: the module of this package that has it, and what it does in one line."""

    module: str
    section: str
    summary: str


_PROJECT, _SERVICE, _MAIL = "A project", "Its servers", "Its mail, and who wrote it"
_HAND, _SELF = "Mail by hand", "This command"

COMMANDS = {
    "gen": Entry("project", _PROJECT, "make a new project"),
    "syncdb": Entry("syncdb", _PROJECT, "create or upgrade the tables of its database"),
    "config": Entry("inspect", _PROJECT, "show the settings and where each comes from"),
    "routes": Entry("inspect", _PROJECT, "show the routes, or which of them an address takes"),
    "shell": Entry("shell", _PROJECT, "start Python with the application at hand"),
    "dev": Entry("dev", _PROJECT, "start all of it to develop, with a window on the mail"),
    "start": Entry("servers", _SERVICE, "start the mail server of the project"),
    "stop": Entry("servers", _SERVICE, "stop it"),
    "restart": Entry("servers", _SERVICE, "stop it and start it again"),
    "reload": Entry("servers", _SERVICE, "have it take in new settings and handlers"),
    "postfix": Entry("postfix", _SERVICE, "set up the Postfix in front of it, and look it over"),
    "status": Entry("servers", _SERVICE, "show which servers run, and how they are"),
    "web": Entry("web", _SERVICE, "show the mail, and what waits, to a browser"),
    "log": Entry("sink", _SERVICE, "start a server that stores all mail in a queue, for a look"),
    "trace": Entry("trace", _MAIL, "show the life of a mail, by any of its ids"),
    "outbox": Entry("outbox", _MAIL, "look at the mail that waits to be submitted"),
    "undeliverable": Entry("undeliverable", _MAIL, "look at what could not be delivered"),
    "requeue": Entry("requeue", _MAIL, "give an undeliverable message to its handler again"),
    "queue": Entry("queue", _MAIL, "look into a queue of messages"),
    "state": Entry("state", _MAIL, "show who is in which state of the handlers, or change that"),
    "tasks": Entry("tasks", _MAIL, "look at the work that waits for its time"),
    "schedule": Entry("schedule", _MAIL, "show what runs at which times, or run it now"),
    "suppressed": Entry("suppressed", _MAIL, "show who gets no mail any more, or change that"),
    "forget": Entry("forget", _MAIL, "erase what is kept of a correspondent"),
    "send": Entry("send", _HAND, "send a message to a server and show what it answers"),
    "sendmail": Entry("sendmail", _HAND, "send a message from standard input, as sendmail(1) does"),
    "cleanse": Entry("cleanse", _HAND, "write what can be read of a mailbox, count what is wrong"),
    "blast": Entry("blast", _HAND, "deliver all messages of a mailbox to a server"),
    "import": Entry("blast", _HAND, "give mail to the application, or members to a list"),
    "help": Entry("about", _SELF, "show the commands, or how one of them is used"),
    "completion": Entry("completion", _SELF, "have a shell complete commands and options"),
    "version": Entry("about", _SELF, "show the version"),
}


class Group(click.Group):
    """Imports ``lamson.cli.MODULE`` for a command and takes its ``NAME_command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lamson.cli.{COMMANDS[cmd_name].module}")
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is None:
            raise click.UsageError(unknown(args[0]), ctx)
        return args[0], command, args[1:]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands, without importing them."""
        return completed(incomplete)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(overview())


def completed(incomplete: str) -> list[CompletionItem]:
    """The commands that begin so, for a shell."""
    return [
        CompletionItem(name, help=entry.summary)
        for name, entry in COMMANDS.items()
        if name.startswith(incomplete)
    ]


def unknown(name: str) -> str:
    """What to say of a command that there is not."""
    near = get_close_matches(name, COMMANDS, 3)
    near.sort(key=lambda one: sorted(one) != sorted(name))  # letters in another order: start, strat
    return f"there is no command {name!r}" + (f"; did you mean {near[0]}?" if near else "")


def overview() -> str:
    """All commands, a line each."""
    lines = ["Usage: lamson COMMAND [OPTIONS]", ""]
    section = ""
    for name, entry in COMMANDS.items():
        if entry.section != section:
            section = entry.section
            lines.append(f"{section}:")
        lines.append(f"  {name:14}{entry.summary}")
    lines += ["", "Options take one dash or two. How a command is used: lamson help -for NAME"]
    return "\n".join(lines) + "\n"


@click.command(
    cls=Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "-help", "--help"]},
)
@click.option("-version", "--version", is_flag=True, help="Show the version.")
@click.pass_context
def lamson(context: click.Context, version: bool) -> None:
    """Write e-mail applications the way you write web applications, behind Postfix."""
    if version:
        show = lamson.get_command(context, "version")
        assert show is not None
        context.invoke(show)
        context.exit()
    if context.invoked_subcommand is None:
        click.echo(overview(), nl=False, err=True)
        context.exit(os.EX_USAGE)


def explanation(name: str, width: int | None = None) -> str:
    """The usage of a command, with its options, ``width`` columns wide (as the terminal is).

    ``name`` is one of `COMMANDS`, or one of those and one of its `subcommands`, as "postfix plan".
    """
    explained: click.Command = lamson
    with click.Context(lamson, info_name="lamson") as context:
        for word in name.split():
            assert isinstance(explained, click.Group)
            found = explained.get_command(context, word)
            assert found is not None
            explained = found
            context = explained.make_context(
                word,
                [],
                context,
                resilient_parsing=True,
                terminal_width=width,
                max_content_width=100,
            )
        return explained.get_help(context)


def subcommands(name: str) -> list[str]:
    """The names of what a command of `COMMANDS` consists of; none where it is one alone."""
    with click.Context(lamson, info_name="lamson") as context:
        found = lamson.get_command(context, name)
        return found.list_commands(context) if isinstance(found, click.Group) else []
