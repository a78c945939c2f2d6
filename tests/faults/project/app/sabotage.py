"""Mistakes that Lamson does not make, made on purpose: the checker has to notice each of them.

Where a fault strikes before the commit, even a Lamson that forgets what it has seen repeats
nothing. For these faults a run with one of the mistakes shows that the count can come out wrong.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from lamson.engine import Engine
from lamson.envelope import Envelope
from lamson.outbox import Outbox, Outgoing
from lamson.relay import Relay
from lamson.reply import OK, Reply


def commit(name: str) -> None:
    """Make the mistake called ``name``; "" makes none. Raises KeyError for one that is unknown."""
    if name:
        {
            "early-reply": _reply_early,
            "forgetful-outbox": _forget_outbox,
            "nothing-kept": _keep_nothing,
        }[name]()


def _reply_early() -> None:
    """250 before anything was done: what fails afterwards is lost."""
    deliver = Engine.deliver

    def deliver_later(
        engine: Engine,
        envelope: Envelope,
        content: bytes,
        routed: Sequence[Any],
        done: Callable[[int, Reply], None],
        *,
        again: bool = False,
    ) -> None:
        deliver(engine, envelope, content, routed, lambda index, reply: None, again=again)
        for index in range(len(envelope.recipients)):
            done(index, OK)

    Engine.deliver = deliver_later  # type: ignore[method-assign]


def _forget_outbox() -> None:
    """Mail to be sent is in memory alone: when submission or the process fails, it is lost."""

    def keep_in_memory(outbox: Outbox, connection: Any, rows: Sequence[Outgoing]) -> list[Outgoing]:
        for row in rows:
            row.id, row.created_at = outbox._next_id(), time.time()
            row.lease_until = row.created_at + 300
        return list(rows)

    Outbox.insert = keep_in_memory  # type: ignore[method-assign]


def _keep_nothing() -> None:
    """Mail that submission refuses for good is thrown away."""

    async def give_up(relay: Relay, row: Outgoing, recipients: str, reason: str) -> bool:
        return True

    Relay._give_up = give_up  # type: ignore[method-assign]
