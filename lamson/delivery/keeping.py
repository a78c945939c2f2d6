"""Keeps a message that no handler could bring to an end, in ``run/undeliverable``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson import log
from lamson.errors import LamsonError, UnavailableError
from lamson.smtp.reply import SMTPError
from lamson.storage import undeliverable
from lamson.storage.quota import QueueFullError
from lamson.storage.undeliverable import Kept

if TYPE_CHECKING:
    from lamson.delivery.job import Job
    from lamson.message.request import MailRequest
    from lamson.storage.maildir import Maildir

_MARK = 32  # hexadecimal digits of the key


def keep(queue: Maildir | None, job: Job, reason: str, state: str = "") -> None:
    """Keep the message of ``job`` for a person to look at; ``state`` is its author's.

    It is kept before the commit, and kept again where that fails. So what identifies the delivery
    is in the name of the file, and it is there once, however often it is kept. Raises
    UnavailableError where it cannot be written, SMTPError (451 4.3.1) where the queue is full:
    Postfix then has it still, and asks again.
    """
    mark = job.key.name.hex()[:_MARK] if job.key else ""
    keep_message(queue, job.message, reason, state=state, mark=mark)


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
