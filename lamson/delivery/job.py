"""A job is one recipient of one message, on its way through the dispatcher; and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lamson.message.request import MailRequest
from lamson.smtp.envelope import Recipient
from lamson.smtp.reply import OK, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lamson.delivery.answer_limit import Answer
    from lamson.delivery.spam.opinion import Opinion
    from lamson.delivery.thread import Thread
    from lamson.routing.router import Match
    from lamson.storage.outgoing import Outgoing
    from lamson.storage.pending import Pending
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
    redeems: Sequence[bytes] = ()  # digests of tokens that this transaction claimed for it
    is_again: bool = False  # asked for by a person: an author's state does not change on failure
    resumes: StateKey | None = None  # whose state is to be, while a person has it run again,
    resume_in: str = ""  # this one, whatever it is
    deaths: int = 0  # of workers that had this delivery under way
    answered: Sequence[Answer] = ()  # its automatic answers
    threads: Mapping[str, Thread] = field(default_factory=dict)  # by the module that asks
    opinion: Opinion | None = None  # whether it is spam
    span: Any = None  # of tracing, where that is on
    reply: Reply | None = None

    def message_for(self, match: Match) -> MailRequest:
        """The message as the handler of ``match`` sees it: with that route's captures."""
        message = self.message
        # A copy, as the match stands for every message to this address.
        recipient = Recipient(
            message.recipient.address, dict(match.captures), match.route.is_signed
        )
        return MailRequest(message.content, message.envelope, recipient)

    def is_of_new_thread(self, key: StateKey) -> bool:
        """Whether ``key`` is for a thread that this message was to begin."""
        return any(one.is_new and one.id in key.module for one in self.threads.values())

    def __str__(self) -> str:
        """How log lines call it."""
        return f"id={self.message.envelope.id} recipient={self.message.recipient}"


@dataclass(slots=True)
class Result:
    """What handling one job came to, before it is committed.

    ``matches`` are those of the job that take it, as far as its author has to be proven. ``keys``
    say in which state machines its author may stand, in their order: None for a handler that has no
    states.
    """

    job: Job
    matches: Sequence[Match] = ()
    keys: Sequence[StateKey | None] = ()
    reply: Reply = OK
    outgoing: Sequence[Outgoing] = ()
    threads: Sequence[Thread] = ()  # that it belongs to
    todo: Sequence[Task] = ()
    moves: tuple[tuple[StateKey, str], ...] = ()  # where to put the author; one at most
    moved_by: Match | None = None  # whose state function ran
    moved_in: str = ""  # the handler module whose states those are, where none ran
    handled: tuple[str, ...] = ()
    kept: Sequence[Pending] = ()  # messages that wait for a token
    claimed: Sequence[bytes] = ()  # keys of mail, by one that ended the transaction
    spent: tuple[bytes, ...] = ()  # digests of tokens that count once, which handlers got
    state: str = ""  # in which the author's state function ran
    told: tuple[str, str] = ("", "")  # of which tracked mail it reported, and what
    is_held: bool = False  # as spam, from a handler at least
    seconds: float = 0.0
    failed: bool = False
    error_state: StateKey | None = None  # where to put the author, if the module has ERROR
    retry: bool = False
