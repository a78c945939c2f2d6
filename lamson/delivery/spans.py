"""The spans of the way in, where tracing is on: of a delivery, from the end of the data to the
reply, and of each attempt at a task.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from lamson import telemetry
from lamson.message.lineage import root_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lamson.delivery.job import Job
    from lamson.smtp.reply import Reply
    from lamson.storage.tasks import Task


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


def attempt(task: Task) -> AbstractContextManager[None]:
    """While it is done. All attempts at it are in one trace, which is no conversation's."""
    if not telemetry.ACTIVE:
        return nullcontext()
    id = f"task-{task.id}"
    parent = telemetry.conversation(id)
    return telemetry.within(parent, f"task {task.kind}", id=id, task=task.name)
