"""Keeps a message that no handler could bring to an end, in ``run/undeliverable``."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lamson import log
from lamson.errors import LamsonError, UnavailableError
from lamson.smtp.reply import SMTPError
from lamson.storage import tracked, undeliverable
from lamson.storage.quota import QueueFullError
from lamson.storage.undeliverable import Kept

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from lamson.delivery.job import Job
    from lamson.message.request import MailRequest
    from lamson.storage.maildir import Maildir

MOST_KEPT = 10  # of what one thing that a stranger has, such as a token, can bring
_MARK = 32  # hexadecimal digits of the key


def keep(queue: Maildir | None, job: Job, reason: str, state: str = "") -> None:
    """Keep the message of ``job`` for a person to look at; ``state`` is its author's.

    It is kept before the commit, and kept again where that fails. So what identifies the delivery
    is in the name of the file, and it is there once, however often it is kept. Raises
    UnavailableError where it cannot be written, SMTPError (451 4.3.1) where the queue is full:
    Postfix then has it still, and asks again.
    """
    keep_message(queue, job.message, reason, state=state, mark=mark_of(job))


def mark_of(job: Job) -> str:
    """What identifies the delivery in the name of a file, "" where nothing does."""
    return job.key.name.hex()[:_MARK] if job.key else ""


def keep_message(
    queue: Maildir | None, message: MailRequest, reason: str, *, state: str = "", mark: str = ""
) -> None:
    """Keep a message in the place of one that was kept with the same ``mark``. Raises as `keep`."""
    if queue is None:
        raise LamsonError(f"nowhere to keep a message: {reason}")
    envelope, recipient = message.envelope, message.recipient.address
    entry = Kept(message.raw, reason, envelope.sender, recipient, envelope.id, state)
    try:
        key = undeliverable.write(queue, entry, mark)
    except QueueFullError as error:
        raise SMTPError(451, "4.3.1", "Insufficient storage; try again later") from error
    except OSError as error:
        raise UnavailableError(f"{queue.path} cannot be written: {error.strerror}") from error
    log.event("kept", envelope.id, recipient=recipient, reason=reason, key=key)


def keep_few(
    queue: Maildir | None,
    connection: Connection,
    message: MailRequest,
    reason: str,
    *,
    of: str,
    until: float,
    mark: str | None = None,
) -> None:
    """Keep a message, unless `MOST_KEPT` with the same ``of`` were: then it is dropped, and logged.

    Who has what it came by could fill the disk with it. They are counted in the transaction of
    ``connection`` until ``until``, in seconds since the epoch. Without a ``mark`` a message is in
    the place of the one that had its number, if that was not committed. Raises as `keep`.
    """
    for number in range(MOST_KEPT):
        if tracked.is_first(connection, of, until, "kept", str(number)):
            if mark is None:
                mark = hashlib.sha256(f"{of} {number}".encode()).hexdigest()[:_MARK]
            try:
                keep_message(queue, message, reason, mark=mark)
            except LamsonError:
                tracked.unsay(connection, of, "kept", str(number))
                raise
            return
    log.event("dropped", message.envelope.id, recipient=message.recipient.address, reason=reason)
