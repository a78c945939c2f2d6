"""A job is one recipient of one message, on its way through the dispatcher; and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamson.message.request import MailRequest
from lamson.smtp.envelope import Recipient
from lamson.smtp.reply import OK, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamson.delivery.answer_limit import Answer
    from lamson.routing.router import Match
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.seen_key import Key
    from lamson.storage.state import StateKey
    from lamson.storage.tasks import Task


@dataclass(slots=True, eq=False)
class Job:
    """One recipient of one message. ``key`` is None where nothing identifies it."""

    message: MailRequest
    matches: Sequence[Match]
    key: Key | None
    done: Callable[[int, Reply], None] = lambda index, reply: None
    indexes: list[int] = field(default_factory=list)  # among the recipients of the message
    started: float = 0.0
    crash_key: bytes = b""  # what a crash is counted against; the key's name if there is one
    original: Key | None = None  # of the delivery that was kept, while a person has it run again
    entries: Sequence[bytes] = ()  # what this transaction claimed those two as
    is_again: bool = False  # asked for by a person: an author's state does not change on failure
    resumes: StateKey | None = None  # whose state is to be, while a person has it run again,
    resume_in: str = ""  # this one, whatever it is
    deaths: int = 0  # of workers that had this delivery under way
    answered: Sequence[Answer] = ()  # its automatic answers
    reply: Reply | None = None

    def message_for(self, match: Match) -> MailRequest:
        """The message as the handler of ``match`` sees it: with that route's captures."""
        message = self.message
        # A copy, as the match stands for every message to this address.
        recipient = Recipient(message.recipient.address, dict(match.captures))
        return MailRequest(message.content, message.envelope, recipient)

    def __str__(self) -> str:
        """How log lines call it."""
        return f"id={self.message.envelope.id} recipient={self.message.recipient}"


@dataclass(slots=True)
class Result:
    """What handling one job came to, before it is committed.

    ``keys`` say in which state machines its author may stand, in the order of the job's matches:
    None for a handler that has no states.
    """

    job: Job
    keys: Sequence[StateKey | None] = ()
    reply: Reply = OK
    outgoing: Sequence[Outgoing] = ()
    todo: Sequence[Task] = ()
    moves: tuple[tuple[StateKey, str], ...] = ()  # where to put the author; one at most
    moved_by: Match | None = None  # whose state function ran
    moved_in: str = ""  # the handler module whose states those are, where none ran
    handled: tuple[str, ...] = ()
    state: str = ""  # in which the author's state function ran
    seconds: float = 0.0
    failed: bool = False
    error_state: StateKey | None = None  # where to put the author, if the module has ERROR
    retry: bool = False
