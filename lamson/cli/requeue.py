"""`lamson requeue`: give a message that was kept as undeliverable to its handler once more."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, option, project
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from lamson.app import Application
    from lamson.reply import Reply

_OURS = (b"x-lamson-reason:", b"x-lamson-sender:", b"x-lamson-recipient:", b"x-lamson-id:")


@command("requeue")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@option("recipient", metavar="ADDRESS", help="Deliver to this address instead of the former one.")
def requeue_command(keys: tuple[str, ...], recipient: str | None) -> None:
    """Run the handler again for messages in run/undeliverable, and remove those that succeed.

    A message that was handled before is handled again: that is what is asked for here. The keys
    are those that `lamson queue` lists. A mail of the application's own that could not be submitted
    is no case for a handler: `lamson send -file` sends it once more.

    \b
    Example:
      lamson requeue 1795376990.M199820P13874Q1.mx
    """
    from lamson.app import Application

    application = Application.load(project())
    outcomes = asyncio.run(_requeue(application, keys, recipient))
    for key, reply in zip(keys, outcomes, strict=True):
        click.echo(f"{key}: {reply}")
    if not all(reply.is_positive for reply in outcomes):
        click.get_current_context().exit(1)


async def _requeue(
    application: Application, keys: tuple[str, ...], recipient: str | None
) -> list[Reply]:
    await application.start()
    try:
        return [await _one(application, key, recipient) for key in keys]
    finally:
        await application.stop(10.0)


async def _one(application: Application, key: str, recipient: str | None) -> Reply:
    from lamson.envelope import Envelope

    queue = application.undeliverable
    kept = queue.get(key)
    if kept is None:
        raise _error(f"{queue.path}: there is no message {key}", os.EX_NOINPUT)
    fields, content = split_kept(kept)
    recipient = recipient or fields.get("x-lamson-recipient", "")
    routed = application.engine.route(recipient)
    if not routed:
        raise _error(f"{key}: no route takes {recipient or 'it'}; try -recipient", os.EX_NOUSER)
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    envelope = Envelope(fields.get("x-lamson-sender", ""), (recipient,), id=f"requeue-{key}"[:64])
    application.engine.deliver(
        envelope, content, [routed], lambda index, reply: answered.set_result(reply), again=True
    )
    reply = await answered
    if reply.is_positive:
        queue.remove(key)
    return reply


def split_kept(kept: bytes) -> tuple[dict[str, str], bytes]:
    """The fields that we put on top of a kept message, by lower-case name, and the message."""
    fields: dict[str, str] = {}
    name = ""
    while kept:
        line, _, rest = kept.partition(b"\n")
        if name and line[:1] in (b" ", b"\t"):
            fields[name] += " " + line.strip().decode("utf-8", "replace")
        elif line.lower().startswith(_OURS):
            label, _, value = line.partition(b":")
            name = label.decode("ascii").lower()
            fields[name] = value.strip().decode("utf-8", "replace")
        else:
            break
        kept = rest
    return fields, kept


def _error(problem: str, code: int) -> LamsonError:
    error = LamsonError(problem)
    error.exit_code = code
    return error
