"""Finds the threads that the messages of a batch belong to, and writes what became of them.

For the handlers' side of a transaction. A thread is found by its signed address: whoever has that
may write there. Else by In-Reply-To and References among the Message-IDs of what the application
sent in a thread that was in this module before, where the writer takes part; who he is, is judged
as it is for answers (`correspondent.writer_of`). Never by a subject. Whatever is found by neither,
as the mail of a stranger who knows a Message-ID, gets a thread of its own.

It takes four statements for a batch, and none where no handler asks.
"""

from __future__ import annotations

import base64
import secrets
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from lamson.delivery.correspondent import writer_of
from lamson.delivery.thread import Thread
from lamson.message.answering import one_line
from lamson.routing.declaration import threads_among
from lamson.storage import threads
from lamson.storage.threads import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from lamson.delivery.job import Job, Result
    from lamson.message.request import MailRequest
    from lamson.routing.router import Match, Router

MAX_IDS = 100  # of In-Reply-To and References that are looked up: the newest, and the first
_MAX_SUBJECT = 200  # characters
_DAY = 86_400


class _Wanted(NamedTuple):
    """What a module is to be given a thread for."""

    job: Job
    module: str
    signed: str  # the id in the address, "" without one
    digests: Sequence[bytes]
    writer: str


class ThreadFinder:
    """Knows how to find them; holds none. For all threads of the dispatcher at once."""

    def __init__(
        self,
        router: Router,
        *,
        clock: Callable[[], float],
        keep_days: float = 365.0,
    ) -> None:
        """``clock`` is the service clock. Without mail a thread is kept for ``keep_days``."""
        self._router = router
        self._threaded = router.threaded
        self._purposes = router.purposes
        self._clock = clock
        self._keep_days = keep_days

    def find(self, connection: Connection | None, jobs: Sequence[Job]) -> None:
        """Give the ``jobs`` the threads that their modules ask for, locked."""
        wanted = [one for job in jobs for one in self._wanted(job)] if self._threaded else []
        if not wanted or connection is None:
            return
        chosen = self._chosen(connection, wanted)
        known = threads.lock(connection, set(filter(None, chosen)))
        found: dict[int, dict[str, Thread]] = {id(job): {} for job in jobs}
        for one, name in zip(wanted, chosen, strict=True):
            message = one.job.message
            if name not in known:  # forgotten since, or none yet
                name = name or _new_id()
                known[name] = Known(name, one_line(message.subject)[:_MAX_SUBJECT], is_new=True)
            found[id(one.job)][one.module] = Thread(
                known[name],
                message,
                module=one.module,
                writer=one.writer,
                sign=self._sign,
                connection=connection,
                is_routed=self._is_routed,
            )
        for job in jobs:
            job.threads = found[id(job)]

    def write(self, connection: Connection | None, results: Sequence[Result]) -> None:
        """Write what the handlers did in their threads, where they succeeded.

        A thread that is not kept has no state either: nobody would ever forget that.
        """
        if connection is None or not self._threaded:
            return
        changes = []
        for result in results:
            for thread in () if result.failed else result.threads:
                change = thread.change(result.outgoing)
                if change is not None:
                    changes.append(change)
                else:
                    moves = result.moves
                    result.moves = tuple(one for one in moves if thread.id not in one[0].module)
        if changes:
            threads.write(connection, changes, self._clock(), self._keep_days * _DAY)

    def _is_routed(self, address: str) -> bool:
        return bool(self._router.match(address))

    def _sign(self, purpose: str, name: str) -> str:
        return self._purposes.sign(purpose, name, self._keep_days)[0]

    def _wanted(self, job: Job) -> Iterator[_Wanted]:
        modules: dict[str, str] = {}
        for match in job.matches:
            if match.handler in self._threaded:
                module = match.handler.module
                modules[module] = modules.get(module) or _signed(match)
        if modules:
            writer = writer_of(job.message)
            digests = [threads.digest(one) for one in _answered(job.message)] if writer else []
            for module, signed in modules.items():
                yield _Wanted(job, module, signed, () if signed else digests, writer)

    @staticmethod
    def _chosen(connection: Connection, wanted: Sequence[_Wanted]) -> list[str]:
        """The id of the thread of each, "" where there is none yet."""
        digests = {one for each in wanted for one in each.digests}
        sent = threads.sent_in(connection, digests)
        writers = {one.writer for one in wanted if one.digests}
        taking = threads.taking_part(connection, {one.id for one in sent.values()}, writers)
        return [one.signed or _answers(one, sent, taking) for one in wanted]


def _answers(one: _Wanted, sent: Mapping[bytes, Known], taking: set[tuple[str, str]]) -> str:
    for digest in one.digests:
        known = sent.get(digest)
        if known and one.module in known.modules and (known.id, one.writer) in taking:
            return known.id
    return ""


def _signed(match: Match) -> str:
    """The id of the thread in the address, which nobody else can have put there."""
    for name in threads_among(match.route.signed):
        if found := match.captures.get(name):
            return found
    return ""


def _answered(message: MailRequest) -> list[str]:
    """The ids that the message says it answers, the newest first."""
    references = message.references[::-1]
    ids = list(dict.fromkeys((*islice(message.in_reply_to, 5), *references)))
    return ids if len(ids) <= MAX_IDS else [*ids[: MAX_IDS - 1], ids[-1]]


def _new_id() -> str:
    """Twelve letters and digits, which leave the local part of an address room for a name."""
    return base64.b32encode(secrets.token_bytes(8)).decode()[:12].lower()
