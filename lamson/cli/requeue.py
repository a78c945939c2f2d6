"""`lamson requeue`: give a message that was kept as undeliverable to its handler once more."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, entered, option, printable, project
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.app import Application
    from lamson.smtp.reply import Reply
    from lamson.storage.maildir import Maildir


@command("requeue")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@option("name", default="run/undeliverable", show_default=True, metavar="DIR", help="The queue.")
@option("recipient", metavar="ADDRESS", help="Deliver to this address instead of the former one.")
def requeue_command(keys: tuple[str, ...], name: str, recipient: str | None) -> None:
    """Run the handler again for messages in run/undeliverable, and remove those that succeed.

    With -name run/spam it is run for what was taken for spam and is none; nobody is asked again.

    A message that was handled before is handled again: that is what is asked for here. After an
    exception its author is put back into the state that the handler met. What fails stays in the
    queue, and the status is 1. The keys are those that `lamson queue` lists. A mail of the
    application's own that could not be submitted is no case for a handler: `lamson send -file`
    sends it once more.

    \b
    Example:
      lamson requeue 1795376990.M199820P13874Q1.mx
    """
    if not requeue(keys, name, recipient):
        click.get_current_context().exit(1)


def requeue(keys: Sequence[str], name: str, recipient: str | None = None) -> bool:
    """Requeue those in the queue ``name``; False where one stays. Raises LamsonError."""
    from lamson import log
    from lamson.app import Application
    from lamson.cli.queue import directory_of
    from lamson.service import logs, premises
    from lamson.storage.maildir import Maildir
    from lamson.storage.suspects import Suspects

    entered()
    application = Application.load(project())
    directory = directory_of(name)
    premises.own(directory)
    queue = Maildir(directory)
    logs.configure(application.settings)
    succeeded = asyncio.run(_requeue(application, queue, keys, recipient))
    Suspects(application.settings.run_dir).forget(os.getpid())  # no supervisor does
    log.flush()
    return succeeded


async def _requeue(
    application: Application, queue: Maildir, keys: Sequence[str], recipient: str | None
) -> bool:
    """Requeue each, and say what became of it. False when one stays."""
    await application.start(does_tasks=False)
    try:
        succeeded = True
        for key in keys:
            try:
                outcome = await _one(application, queue, key, recipient)
            except LamsonError as error:
                if len(keys) == 1:
                    raise
                click.echo(printable(f"{key}: {error}"))
                succeeded = False
            else:
                click.echo(f"{key}: {outcome}")
                succeeded &= outcome.is_positive
        return succeeded
    finally:
        await application.stop(10.0)


async def _one(application: Application, queue: Maildir, key: str, recipient: str | None) -> Reply:
    from lamson.smtp import address
    from lamson.smtp.envelope import Envelope, Peer, QueueId
    from lamson.storage import seen_key
    from lamson.storage.undeliverable import read

    stored = queue.get(key)
    if stored is None:
        raise LamsonError(f"{queue.path}: there is no message {key}", exit_code=os.EX_NOINPUT)
    kept = read(stored)
    recipient = recipient or kept.recipient
    routed = application.dispatcher.route(recipient)
    if not routed:
        raise LamsonError(
            f"{key}: no route takes {recipient or 'it'}; try -recipient", exit_code=os.EX_NOUSER
        )
    # With the queue id and the time that it came with: its notes were signed for those.
    kept_at = key.partition(".")[0]
    envelope = Envelope(
        kept.sender,
        (recipient,),
        Peer(ident=QueueId(kept.id)),
        received=float(kept_at) if kept_at.isdecimal() else time.time(),
        id=f"requeue-{key}"[:64],
    )
    source = seen_key.source(envelope, kept.content)
    former = address.normalise(kept.recipient)
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def done(index: int, reply: Reply) -> None:
        if not answered.done():  # else a Ctrl-C came first
            answered.set_result(reply)

    application.dispatcher.deliver(
        envelope,
        kept.content,
        [routed],
        done,
        again=key,
        original=source.key(kept.sender, former) if source else None,
        state=kept.state,
    )
    reply = await answered
    if reply.is_positive:
        queue.remove(key)
    return reply
