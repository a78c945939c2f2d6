"""Mistakes that Lamson does not make, made on purpose: the checker has to notice each of them.

The first is to forget what was seen. Where a fault strikes before the commit, even that repeats
nothing: for these faults a run with one of the others shows that the count can come out wrong.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from lamson.delivery.dispatcher import Dispatcher
from lamson.delivery.thread_finder import ThreadFinder
from lamson.mailer import Mailer
from lamson.relay.attempt import Attempts
from lamson.smtp.envelope import Envelope
from lamson.smtp.reply import OK, Reply
from lamson.storage import keys, outgoing, redeemed, seen, tracked
from lamson.storage.held import HeldRows
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from lamson.storage.seen_key import Key
from lamson.storage.state import MemoryStateStore, SqlStateStore, StateKey

LATE = 0.2  # seconds between an early reply and the work: a fault always finds some undone


def commit(name: str) -> None:
    """Make the mistake called ``name``; "" makes none. Raises KeyError for one that is unknown."""
    if name:
        {
            "no-seen-check": _handle_again,
            "early-reply": _reply_early,
            "forgetful-outbox": _forget_outbox,
            "nothing-kept": _keep_nothing,
            "lost-deletes": _lose_deletes,
            "forgetful-states": _forget_states,
            "no-order": _forget_order,
            "any-content": _compare_no_content,
            "no-redemption": _redeem_nothing,
            "told-again": _tell_again,
            "late-threads": _write_threads_late,
            "mail-apart": _send_apart,
            "no-keys": _forget_keys,
            "early-deletes": _delete_early,
        }[name]()


def _handle_again() -> None:
    """Nothing counts as handled before: what Postfix delivers again is done again."""
    claim = seen.claim

    def claim_all(connection: Any, keys: Iterable[Key], now: float) -> dict[Key, bytes]:
        claimed = {key: key.entry for key in keys}
        claim(connection, claimed, now)
        return claimed

    seen.claim = claim_all


def _reply_early() -> None:
    """250 before anything was done: what fails or ends afterwards is lost."""
    deliver = Dispatcher.deliver

    def deliver_later(
        dispatcher: Dispatcher,
        envelope: Envelope,
        content: bytes,
        routed: Sequence[Any],
        done: Callable[[int, Reply], None],
        *,
        again: str = "",
    ) -> None:
        do_it = partial(deliver, dispatcher, envelope, content, routed, _ignore, again=again)
        asyncio.get_running_loop().call_later(LATE, do_it)
        for index in range(len(envelope.recipients)):
            done(index, OK)

    Dispatcher.deliver = deliver_later  # type: ignore[method-assign]


def _ignore(index: int, reply: Reply) -> None:
    pass


def _forget_outbox() -> None:
    """Mail to be sent is in memory alone: when submission or the process fails, it is lost."""

    def keep_in_memory(
        outbox: Outbox, connection: Any, rows: Sequence[Outgoing], apart: Any
    ) -> list[Outgoing]:
        for row in rows:
            row.id, row.created_at = outbox._next_id(), time.time()
            row.lease_until = row.created_at + 300
        return list(rows)

    Outbox.insert = keep_in_memory  # type: ignore[method-assign]


def _keep_nothing() -> None:
    """Mail that submission refuses for good is thrown away."""

    async def give_up(attempts: Attempts, row: Outgoing, recipients: str, reason: str) -> bool:
        return True

    Attempts._give_up = give_up  # type: ignore[method-assign]


def _lose_deletes() -> None:
    """What a transaction was to delete along with its own work is not deleted when it fails."""
    deleted = HeldRows.deleted

    def deleted_anyway(held: HeldRows, ids: Collection[int], *, is_committed: bool) -> None:
        if is_committed:
            deleted(held, ids, is_committed=True)

    HeldRows.deleted = deleted_anyway  # type: ignore[method-assign]


def _forget_states() -> None:
    """States are in the memory of a process alone."""
    memory = MemoryStateStore()

    def load(store: SqlStateStore, keys: Collection[StateKey]) -> dict[StateKey, str]:
        with memory.lock:
            return memory.load(keys)

    def save(store: SqlStateStore, states: Mapping[StateKey, str]) -> None:
        with memory.lock:
            memory.save(states)

    SqlStateStore.load, SqlStateStore.save = load, save  # type: ignore[method-assign]


def _forget_order() -> None:
    """Every row is a conversation of its own: none waits for an earlier one."""
    outgoing._conversation = lambda sender, recipients: secrets.token_hex(8)


def _compare_no_content() -> None:
    """Whatever comes under a known queue id, sender and recipient counts as handled."""
    claim = seen.claim

    def claim_by_entry(connection: Any, keys: Iterable[Key], now: float) -> dict[Key, bytes]:
        claimed = claim(connection, keys, now)
        return {key: entry for key, entry in claimed.items() if entry == key.entry}

    seen.claim = claim_by_entry


def _redeem_nothing() -> None:
    """A token that counts once counts each time."""

    def claim_all(connection: Any, tokens: Mapping[bytes, float]) -> set[bytes]:
        return set(tokens)

    redeemed.claim = claim_all


def _tell_again() -> None:
    """Nothing counts as told before: each report is told of."""
    tracked.is_first = lambda connection, mail, *what: True


def _write_threads_late() -> None:
    """What was said is written with the next batch: who dies before that forgets it."""
    write, waiting = ThreadFinder.write, []

    def write_later(finder: ThreadFinder, connection: Any, results: Sequence[Any]) -> None:
        while waiting:
            write(finder, connection, waiting.pop())
        waiting.append(results)

    ThreadFinder.write = write_later  # type: ignore[method-assign]


def _send_apart() -> None:
    """Mail from elsewhere is committed by itself, whatever becomes of the caller's transaction."""
    send = Mailer.send

    def send_apart(mailer: Mailer, message: Any, session: Any, **options: Any) -> str:
        return send(mailer, message, None, **options)

    Mailer.send = send_apart  # type: ignore[assignment,method-assign]


def _forget_keys() -> None:
    """Every key is free."""
    keys.claim = lambda *arguments: None


def _delete_early() -> None:
    """What is claimed is deleted before it is submitted."""
    claim = Outbox.claim

    def claim_and_delete(outbox: Outbox, limit: int) -> list[Outgoing]:
        rows = claim(outbox, limit)
        outbox.delete([row.id for row in rows])
        time.sleep(LATE)
        return rows

    Outbox.claim = claim_and_delete  # type: ignore[method-assign]
