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
    from lamson.message.request import MailRequest
    from lamson.storage.maildir import Maildir


def keep(queue: Maildir | None, message: MailRequest, reason: str, state: str = "") -> None:
    """Keep ``message`` for a person to look at; ``state`` is the one that its author stood in.

    Raises UnavailableError where it cannot be written, SMTPError (451 4.3.1) where the queue is
    full: Postfix then has it still, and asks again.
    """
    if queue is None:
        raise LamsonError(f"nowhere to keep a message: {reason}")
    envelope, recipient = message.envelope, message.recipient.address
    entry = Kept(message.raw, reason, envelope.sender, recipient, envelope.id, state)
    try:
        key = undeliverable.write(queue, entry)
    except QueueFullError as error:
        raise SMTPError(451, "4.3.1", "Insufficient storage; try again later") from error
    except OSError as error:
        raise UnavailableError(f"{queue.path} cannot be written: {error.strerror}") from error
    log.event("kept", envelope.id, recipient=recipient, reason=reason, key=key)
