"""The span of one delivery, where tracing is on: from the end of the data to the reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamson import telemetry
from lamson.message.lineage import root_of

if TYPE_CHECKING:
    from lamson.delivery.job import Job
    from lamson.smtp.reply import Reply


def received(job: Job) -> Any:
    """Begins it, in the trace of the conversation that the message belongs to."""
    message = job.message
    return telemetry.begin(
        "deliver",
        root_of(message) or message.envelope.id,
        id=message.envelope.id,
        message_id=message.message_id,
        recipient=message.recipient,
    )


def answered(job: Job, reply: Reply) -> None:
    """Ends it, by the reply that Postfix is given."""
    telemetry.end(job.span, is_failure=not reply.is_positive, reply=reply.code)
