"""`lamson state`: who is in which state, and how to have somebody be in another."""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, option, printable, project, settings
from lamson.errors import LamsonError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.routing.router import Router
    from lamson.storage.database import Database
    from lamson.storage.state import StateKey

MOST = 1000  # that are listed


@command("state")
@click.argument("address", required=False, metavar="[ADDRESS]")
@option("module", metavar="NAME", help="The state machine, as the list shows it.")
@option("thread", metavar="ID", help="That of a thread, in place of an address.")
@option("set", dest="wanted", metavar="STATE", help="Have it be in this state.")
@option("reset", is_flag=True, help="Have it begin anew, as who never wrote.")
@option(
    "handlers",
    metavar="MODULE",
    help="With -set: whose state that is, where several modules share the state machine.",
)
@option(
    "with",
    dest="values",
    multiple=True,
    metavar="NAME=VALUE",
    help="With -set: a capture that the timeout of the state is given; may be repeated.",
)
def state_command(
    address: str | None,
    module: str | None,
    thread: str | None,
    wanted: str | None,
    reset: bool,
    handlers: str | None,
    values: tuple[str, ...],
) -> None:
    """Show who is in which state: all, or one correspondent or thread; or change that.

    The first thousand are listed. Who is not there is in START. A change is made as a message
    would make it: what comes meanwhile is handled before or after it, and the timeout of the state
    begins or ends. The state machine is the module's name, or what its @state_key_generator makes
    of it; it has to be named where the correspondent is in several.

    \b
    Example:
      lamson state
      lamson state zed@example.com
      lamson state zed@example.com -set POSTING -module app.handlers.lists
      lamson state zed@example.com -reset
    """
    if address is not None and thread is not None:
        raise click.UsageError("expected an address or -thread, not both")
    if thread is not None and not thread.isprintable():
        raise click.BadParameter("expected the id of a thread", param_hint="-thread")
    if wanted is not None and reset:
        raise click.UsageError("expected one of -set and -reset")
    if (handlers or values) and wanted is None:
        raise click.UsageError("-handlers and -with go with -set")
    author = None if address is None else _address(address)
    is_change = wanted is not None or reset
    if is_change and author is None and thread is None:
        raise click.UsageError("expected an address, or -thread")
    captures = dict(map(_capture, values))
    with closing(_database()) as database:
        if is_change:
            _change(database, author, module, thread, wanted, handlers, captures)
        else:
            _list(database, author, module, thread)


def _database() -> Database:
    from lamson.cli.tasks import tables_of_the_project

    if settings().database is None:
        raise SettingsError(
            "database: none is set, so states are kept in the memory of the service alone"
        )
    return tables_of_the_project()


def _address(text: str) -> str:
    """As the author of a mail is told: in the form in which addresses are compared."""
    from lamson.smtp import address

    try:
        return address.normalise(address.parse_mailbox(text, smtputf8=True))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ADDRESS") from None


def _capture(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.BadParameter(f"expected NAME=VALUE, got {text!r}", param_hint="-with")
    return name, value


def _list(database: Database, author: str | None, module: str | None, thread: str | None) -> None:
    from lamson.storage import state

    with database.read() as connection:
        found = state.listed(
            connection, author=author, module=module, thread=thread or "", limit=MOST + 1
        )
    for key, name in found[:MOST]:
        click.echo(printable(f"{key.author or '-'}  {key.module}  {name}"))
    if len(found) > MOST:
        click.echo("... and more; name an address or -module")
    if not found and (author or thread):
        click.echo(printable(f"{author or thread} is in START, where everybody begins"))


def _change(
    database: Database,
    author: str | None,
    machine: str | None,
    thread: str | None,
    wanted: str | None,
    handlers: str | None,
    captures: dict[str, str],
) -> None:
    from lamson.delivery import by_hand
    from lamson.settings.loading import placing
    from lamson.settings.routes import collect_routes

    with placing(project()):
        router = collect_routes(settings())
    key = _key(database, router, author, machine, thread)
    modules = by_hand.modules_of(router, key)
    if wanted is None:
        owner = modules[0] if modules else ""
        with database.begin() as connection:
            former = by_hand.reset(connection, key, owner)
        click.echo(printable(f"{_named(key)}: {former} -> START"))
        return
    owner = _owner(router, modules, wanted, handlers)
    with database.begin() as connection:
        former = by_hand.place(connection, router, key, wanted, owner, captures, time.time())
    click.echo(printable(f"{_named(key)}: {former} -> {wanted}"))


def _key(
    database: Database, router: Router, author: str | None, machine: str | None, thread: str | None
) -> StateKey:
    """Whose state that is. Raises LamsonError where it may be one of several."""
    from lamson.storage import state
    from lamson.storage.state import StateKey
    from lamson.storage.threads import state_of

    if machine is not None:
        if thread and not machine.endswith(f" {thread}"):
            machine = state_of(machine, thread)
        return StateKey.make(machine, author or "")
    with database.read() as connection:
        found = state.listed(connection, author=author, thread=thread or "", limit=MOST)
    known = [key for key, _ in found]
    if not known and thread:
        problem = f"no module has a state of thread {thread}: expected -module with its name"
        raise LamsonError(problem, exit_code=os.EX_NOINPUT)
    if not known:
        plain = [one for one in router.modules if not router.shares_states(one)]
        known = [StateKey.make(one, author or "") for one in plain if len(router.states(one)) > 1]
    if len(known) != 1:
        names = ", ".join(key.module for key in known) or "none without a key of its own"
        raise click.UsageError(f"expected -module, with one of: {names}")
    return known[0]


def _owner(router: Router, modules: Sequence[str], wanted: str, handlers: str | None) -> str:
    """The module whose state it is. Raises UsageError where none, or several, may be meant."""
    if handlers is not None:
        if handlers not in router.modules:
            names = ", ".join(router.modules)
            raise click.BadParameter(f"expected one of {names}", param_hint="-handlers")
        modules = [handlers]
    if not modules:
        raise click.BadParameter(
            f"no handlers have such a state machine; modules are {', '.join(router.modules)}",
            param_hint="-module",
        )
    having = [name for name in modules if wanted in router.states(name)]
    if not having:
        known = ", ".join(dict.fromkeys(one for name in modules for one in router.states(name)))
        problem = f"there is no state {wanted!r} in {', '.join(modules)}: expected one of {known}"
        raise click.BadParameter(problem, param_hint="-set")
    if len(having) > 1:
        raise click.UsageError(f"{wanted} is a state of {', '.join(having)}: expected -handlers")
    return having[0]


def _named(key: StateKey) -> str:
    return f"{key.author} in {key.module}" if key.author else key.module
