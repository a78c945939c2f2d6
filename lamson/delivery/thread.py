"""The thread that a handler is given: the conversation that its message belongs to.

For handlers with a parameter annotated `Thread`, and for modules whose states are `per_thread`.
Which one it is was found before (see lamson/delivery/thread_finder.py). What the handlers send
while they have it belongs to it; this is noted here, and written in their transaction when they
have returned: if they fail, nothing was said.
"""

from __future__ import annotations

import hashlib
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from lamson.errors import LamsonError
from lamson.message import fragments, mailboxes, message_ids
from lamson.message.answering import fewer_references, one_line
from lamson.message.history import ATTRIBUTION, Said, quoted, quoted_html
from lamson.routing.declaration import leads_to_thread
from lamson.routing.handler import THREAD
from lamson.smtp import address
from lamson.storage import threads
from lamson.storage.threads import Change, Entry, Known

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy.engine import Connection

    from lamson.message.request import MailRequest
    from lamson.message.response import MailResponse
    from lamson.storage.outgoing import Outgoing

MAX_LOCAL = 64  # octets of a local part (RFC 5321 section 4.5.3.1.1)
_MAX_NAME = 100  # characters of how somebody calls himself
_MAX_SAID = 10  # of what one delivery sends: it must not drive out what others said
_AHEAD = 86_400  # seconds that a Date field may be ahead

# What people write, though no program may answer some of it (see lamson.message.autoreply).
_OF_PEOPLE = frozenset({None, "suppressed"})


class _Sent(NamedTuple):
    row: Outgoing
    digest: bytes
    participants: dict[str, bool]
    entry: Entry | None


class Thread:
    """A conversation about one thing, as a handler sees it.

    ``id`` is a short text that no other thread has. ``is_new`` where this message began it: then it
    is kept when the handler has returned. What a program wrote begins none, unless something is
    sent in it; such a thread is forgotten at once.
    """

    __slots__ = (
        "_added",
        "_connection",
        "_entries",
        "_entry",
        "_is_of_person",
        "_is_over",
        "_is_routed",
        "_known",
        "_message",
        "_own",
        "_sent",
        "_sign",
        "_texts",
        "_tokens",
        "_writer",
        "is_new",
        "module",
    )

    def __init__(
        self,
        known: Known,
        message: MailRequest,
        *,
        module: str,
        writer: str,
        sign: Callable[[str, str], str],
        connection: Connection,
        is_routed: Callable[[str], bool] = lambda address: False,
    ) -> None:
        """``writer`` is who wrote the message, as far as that is vouched for; "" for nobody.

        ``is_routed`` tells whether mail to an address would come back to the application.
        """
        self.module = module
        self.is_new = known.is_new
        self._known = known
        self._message = message
        self._writer = writer
        self._sign = sign
        self._is_routed = is_routed
        self._connection = connection
        self._is_over = False
        self._own: Entry | None = None
        self._sent: list[_Sent] = []
        self._texts: set[str] = set()  # that were said in this delivery
        self._tokens: list[str] = []  # that were made in it
        self._added: dict[str, bool] = {}
        self._entries: list[Entry] | None = None
        self._entry: Entry | None = None
        self._is_of_person = (
            bool(writer) and _is_of_person(message, writer) and not is_routed(writer)
        )

    def __repr__(self) -> str:
        return f"<Thread {self.id}>"

    def end(self) -> None:
        """The handlers have returned: whoever kept it can ask nothing more of it."""
        self._is_over = True

    @property
    def id(self) -> str:
        """A short text that no other thread has."""
        return self._known.id

    @property
    def subject(self) -> str:
        """The subject of the message that began it, in one line."""
        return self._known.subject

    @property
    def participants(self) -> tuple[str, ...]:
        """The addresses of who takes part, in the form in which addresses are compared.

        Those are who wrote, this message's writer too, and whom was written to in To or Cc. Who was
        written to otherwise (Bcc) takes part as well, but stands here only when he has written.
        Addresses of the application itself never do: mail to them would come back.
        """
        found = dict(self._known.participants)
        if self._is_of_person:
            found[self._writer] = True
        for sent in self._sent:
            for one, is_open in sent.participants.items():
                found[one] = is_open or found.get(one, False)
        return tuple(one for one, is_open in found.items() if is_open)

    @property
    def writer(self) -> str:
        """Who wrote this message, of those who take part; "" for nobody.

        That is its author where somebody vouches for him as for who is answered (the envelope
        sender is of his organisation, or our own server has proved his domain), else the envelope
        sender.
        """
        return self._writer

    @property
    def messages(self) -> list[Said]:
        """What was said before this message, in order; the newest 50, and not for ever."""
        own = self._digest()
        return [one.said for one in self._kept() if one.said.text and one.digest != own]

    @property
    def latest(self) -> Said:
        """What this message says."""
        return self._own_entry().said

    def history(
        self, messages: Iterable[Said] | None = None, *, attribution: str = ATTRIBUTION
    ) -> str:
        """What was said before, as an answer quotes it, the newest first; "" where nothing was.

        ``messages`` are others to quote, such as ``[thread.latest]``. ``attribution`` is the line
        above each: ``{date}`` (a datetime, with a format as of strftime) and ``{name}`` stand for
        those of the message. At most 20,000 characters are quoted.
        """
        return quoted(self.messages if messages is None else messages, attribution)

    def history_html(
        self, messages: Iterable[Said] | None = None, *, attribution: str = ATTRIBUTION
    ) -> str:
        """The same as HTML, which a template shows as it is: ``${thread.history_html()}``."""
        return quoted_html(self.messages if messages is None else messages, attribution)

    def sign(self, purpose: str = THREAD) -> str:
        """A token for a route with a capture ``Signed("thread")``: who writes there is in.

        ``purpose`` may be "thread-agent" or the like, for who has another address in the thread
        than the rest: nobody can make the one of the other. It counts for as long as a thread is
        kept without mail (see the setting `mail_threads.keep_days`), whatever the route says.
        Raises PurposeError where no route has such a capture, ValueError where the project has no
        key to sign with, or for a purpose that leads to no thread.
        """
        if not leads_to_thread(purpose):
            raise ValueError(
                f"{purpose!r} leads to no thread: expected 'thread', or one that begins 'thread-'"
            )
        self._check_open()
        token = self._sign(purpose, self.id)
        self._tokens.append(token)
        return token

    def address(self, mailbox: str, purpose: str = THREAD) -> str:
        """``support+TOKEN@host`` for ``support@host``: a Reply-To that leads back here.

        Raises ValueError where that is longer than an address may be, and what `sign` raises.
        """
        local, domain = address.split(mailbox)
        made = f"{local}+{self.sign(purpose)}"
        if not domain or len(made.encode()) > MAX_LOCAL:
            raise ValueError(f"no address can be made of {mailbox!a}: {made!a} is too long for one")
        return f"{made}@{domain}"

    # What the deliveries ask

    def refer(self, response: MailResponse) -> None:
        """Have ``response`` say what it belongs to, where it does not say that itself.

        It names mail of ours, and of those that it goes to: others' ids are not theirs to know.
        """
        if "In-Reply-To" in response or "References" in response:
            return
        recipients = set(map(address.normalise, response.recipients))
        known = [
            one.message_id
            for one in [*self._kept(), self._own_entry()]
            if message_ids.is_writable(one.message_id)
            and (one.said.is_ours or one.said.author in recipients)
        ]
        ids = list(dict.fromkeys(known))
        if ids:
            response["In-Reply-To"] = ids[-1]
            response["References"] = " ".join(fewer_references(ids))

    def note(
        self, rows: Sequence[Outgoing], response: MailResponse | None = None, *, now: float
    ) -> None:
        """A mail is sent in this thread, in so many rows. Without ``response`` it is another's."""
        named = set()
        entry = None
        if response is not None:
            named = set(map(address.normalise, [*response.to, *response.cc]))
            if rows[0].due_at <= now:  # else it may be cancelled, and is not said yet
                entry = self._entry_of(rows[0], response, now)
        for row in rows:
            taking = {
                one: one in named
                for one in map(address.normalise, row.recipients)
                if one in self._known.participants or not self._is_routed(one)
            }
            key = threads.digest(row.message_id) if row.message_id else b""
            self._sent.append(_Sent(row, key, taking, entry))
            entry = None  # what it says is kept once

    def settle(self, outgoing: Collection[Outgoing]) -> None:
        """The handlers succeeded: let the next delivery of this batch know what became of it.

        ``outgoing`` is what they have sent in the end, and did not cancel.
        """
        rows = {id(row) for row in outgoing}
        self._sent = [one for one in self._sent if id(one.row) in rows]
        if not self._counts(self._sent):
            return
        wanted = {self._writer: True} if self._is_of_person else {}
        for sent in self._sent:
            for one, is_open in sent.participants.items():
                wanted[one] = is_open or wanted.get(one, False)
        taking = self._known.participants
        for one, is_open in wanted.items():
            is_known = one in taking
            if is_open > taking[one] if is_known else len(taking) < threads.MAX_PARTICIPANTS:
                taking[one] = self._added[one] = is_open
        if self._is_of_person or self.is_new:
            self._entry = self._own_entry()
        self._known.pending += [one for one in (self._entry, *self._told(self._sent)) if one]
        self._known.is_new = False

    def change(self, outgoing: Collection[Outgoing]) -> Change | None:
        """What is to be written, of which ``outgoing`` is sent indeed; None where nothing is."""
        rows = {id(row) for row in outgoing}
        sent = [one for one in self._sent if id(one.row) in rows]
        if not self._counts(sent):
            return None
        return Change(
            self._known,
            self.module,
            self._added,
            [one.digest for one in sent if one.digest],
            [*filter(None, [self._entry]), *self._told(sent)],
        )

    def _counts(self, sent: Sequence[_Sent]) -> bool:
        return not self.is_new or self._is_of_person or bool(sent)

    @staticmethod
    def _told(sent: Iterable[_Sent]) -> list[Entry]:
        return [one.entry for one in sent if one.entry is not None]

    def _check_open(self) -> None:
        if self._is_over:
            raise LamsonError("this thread is over: a Thread must not be kept for later")

    def _kept(self) -> list[Entry]:
        if self._entries is None:
            self._check_open()
            kept = [] if self.is_new else threads.entries(self._connection, self.id)
            self._entries = [*kept, *self._known.pending]
        return self._entries

    def _digest(self) -> bytes:
        """Of the message that came: the same however often it comes."""
        message = self._message
        if found := message.message_id:
            return threads.digest(found)
        return threads.digest(hashlib.sha256(message.raw).hexdigest())

    def _own_entry(self) -> Entry:
        if self._own is None:
            self._own = Entry(self._digest(), self._message.message_id or "", self._said())
            self._texts.add(self._own.said.text)
        return self._own

    def _said(self) -> Said:
        message = self._message
        author = self._writer or message.author
        named = message.from_[:1] if author == message.author else []  # else it is another's name
        return Said(
            author=author,
            name=one_line(named[0].name)[:_MAX_NAME] if named else "",
            date=_dated(message.date, message.envelope.received),
            text=_fitting(message.new_text.strip() or message.body.strip()),
        )

    def _entry_of(self, row: Outgoing, response: MailResponse, now: float) -> Entry | None:
        if len(self._told(self._sent)) >= _MAX_SAID:
            return None
        body = response.body
        if body is None and response.html is not None:
            from lamson.message.html_text import text_of

            body = text_of(response.html)
        parts = fragments.split(body or "", response["Subject"] or "")
        text = _fitting("".join(text for kind, text in parts if kind == "new").strip())
        self._own_entry()
        if text in self._texts:
            text = ""
        self._texts.add(text)
        (author,) = mailboxes.of(response.sender)
        said = Said(
            self._told_to_all(address.normalise(author.address)),
            one_line(author.name)[:_MAX_NAME],
            datetime.fromtimestamp(int(now), UTC),
            text,
            is_ours=True,
        )
        return Entry(threads.digest(row.message_id), row.message_id, said)

    def _told_to_all(self, mailbox: str) -> str:
        """An address of ours without the token that lets in who has it: history is passed on."""
        local, domain = address.split(mailbox)
        for token in self._tokens:
            local = re.sub(f"[^a-z0-9]?{token}", "", local)
        return f"{local}@{domain}" if local else domain


def per_thread(module: str, message: MailRequest, thread: Thread) -> str:
    """Keeps one state for each thread of a module, whoever of its participants writes.

    A module takes it over by one line: ``state_key = state_key_generator(per_thread)``.
    """
    return threads.state_of(module, thread.id)


def _is_of_person(message: MailRequest, writer: str) -> bool:
    """A post to a list is, where that is his: else its envelope sender takes the list's bounces."""
    kind = message.automatic_kind
    return kind in _OF_PEOPLE or (kind == "list" and writer == message.author)


def _dated(date: datetime | None, received: float) -> datetime:
    """When it was written, as far as that can be."""
    now = received or time.time()
    try:
        at = now if date is None else date.timestamp()
    except (ValueError, OverflowError):
        at = now
    return datetime.fromtimestamp(int(at if 0 <= at <= now + _AHEAD else now), UTC)


def _fitting(text: str) -> str:
    return text[: threads.MAX_TEXT]
