"""One LMTP session: the connection's events become questions to the dispatcher and replies.

For `server`, which moves the bytes. The dispatcher is asked for a route at each RCPT and is given
the message at the end of the data; each accepted recipient then has exactly one reply, in RCPT
order, sent as soon as all before it are known (RFC 2033 section 4.2).

What goes wrong in here or in the dispatcher is logged with its traceback and answered 451: the
client keeps the message and tries again. The connection is not dropped for it, because Postfix
stops sending to a server that hangs up.
"""

from __future__ import annotations

import itertools
import secrets
import time
from typing import TYPE_CHECKING, Any, Protocol

from lamson import failpoint, log, metrics
from lamson.smtp import reply as replies
from lamson.smtp.envelope import NOBODY, Envelope
from lamson_lmtp.connection import DATA, GONE, REPLYING
from lamson_lmtp.events import (
    ANSWERED,
    DATA_BEGINS,
    NEED_DATA,
    Discarded,
    LocalProtocolError,
    MailFrom,
    Message,
    NotLmtp,
    RcptTo,
    Signal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lamson.smtp.envelope import Peer
    from lamson.smtp.reply import Reply
    from lamson_lmtp.connection import Connection

MAX_TURN = 100  # events handled before other sessions have their turn
_TURN = range(MAX_TURN)
_SHOWN = 100  # octets of a sender that is no address


class Dispatcher(Protocol):
    """What handles the mail. Both methods are called on the event loop's thread."""

    def route(self, address: str) -> Sequence[Any]:
        """What handles mail to ``address``; empty where nothing does. Must take microseconds."""

    def deliver(
        self,
        envelope: Envelope,
        content: bytes,
        routed: Sequence[Any],
        done: Callable[[int, Reply], None],
    ) -> None:
        """Take a message: ``routed[i]`` is what `route` gave for ``envelope.recipients[i]``.

        ``done(i, reply)`` is to be called exactly once for each recipient, on the same thread, in
        any order, before or after this method returns.
        """


class Budget:
    """The octets of content that all sessions of a server hold together, and may hold."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


def make_ids() -> Iterator[str]:
    """Names for messages that have no queue id: unlike those of any other process."""
    prefix = secrets.token_hex(4)
    return (f"{prefix}.{number}" for number in itertools.count(1))


class Session:
    """One client. ``wake`` is called when replies became known while nothing was being received,
    ``warn`` (`logging.Logger.warning`) with what he is not to fill the log with.

    After `receive`, `receive_eof` or a wake call `advance`, send `data_to_send`, and close where
    `closed` says so.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        connection: Connection,
        *,
        budget: Budget,
        ids: Iterator[str],
        client: str,
        wake: Callable[[], None],
        warn: Callable[..., None] = log.logger.warning,
    ) -> None:
        self._dispatcher = dispatcher
        self._connection = connection
        self._budget = budget
        self._ids = ids
        self._client = client
        self._wake = wake
        self._warn = warn
        self._advancing = False
        self._charged = 0  # octets of unfinished content that the budget counts for us
        self._delivery: _Delivery | None = None
        self._answered = 0  # recipients of that delivery
        self._mail = MailFrom("")
        self._id = "-"
        self._recipients: list[str] = []
        self._routed: list[Sequence[Any]] = []
        self.began = 0.0
        """When the last transaction began (`time.monotonic`, seconds); 0 before the first one."""
        self.last_message = 0.0
        """When the last message was taken or refused at its end; 0 before the first one."""
        self.on_first_reply: Callable[[], None] = lambda: None
        """For the failpoint: the first of several replies to a message is in `data_to_send`."""

        self.secured = connection.secured
        self.receive_eof = connection.receive_eof
        self.receive = connection.receive_data
        self.data_to_send = connection.data_to_send

    @property
    def closed(self) -> bool:
        """Nothing more is to be received; what `data_to_send` still gives is the last."""
        return self._connection.state is GONE

    @property
    def in_transaction(self) -> bool:
        """MAIL was accepted, and not all is done that follows from it."""
        return self._connection.state.in_transaction

    @property
    def delivering(self) -> bool:
        """The dispatcher has the message; the client waits for us."""
        return self._connection.state is REPLYING

    @property
    def unread(self) -> int:
        """Octets received that wait for their turn."""
        return self._connection.unread

    def advance(self) -> Signal:
        """Handle what was received. Gives why it ended: NEED_DATA, PAUSED or CLOSED.

        ANSWERED says that more waits, for another turn.
        """
        connection = self._connection
        signal = ANSWERED
        self._advancing = True
        for _ in _TURN:
            event = connection.next_event()
            try:
                if type(event) is RcptTo:
                    self._on_rcpt(event.recipient)
                elif type(event) is MailFrom:
                    self._on_mail(event)
                elif event is DATA_BEGINS:
                    full = self._budget.used >= self._budget.limit
                    connection.reply(replies.NO_STORAGE if full else replies.START_DATA)
                elif type(event) is Message:
                    self._on_message(event.content)
                elif type(event) is Discarded:
                    self._on_discarded(event.reply)
                elif type(event) is NotLmtp:
                    self._warn(
                        "hung up on %s, which does not speak LMTP: %a", self._client, event.line
                    )
                elif isinstance(event, Signal) and event is not ANSWERED:
                    signal = event
                    break
            except Exception:  # noqa: BLE001 - the client is answered, whatever it is
                log.logger.exception("%s: cannot handle %s", self._id, type(event).__name__)
                self._give_up()
            if not connection.has_more:
                signal = NEED_DATA
                break
        if connection.state is DATA:
            self._account(connection.buffered)
        self._advancing = False
        return signal

    def close(self, reply: Reply) -> None:
        """End the session with ``reply``, a 421; recipients still without a reply are told 451."""
        self._give_up()
        self._connection.close(reply)
        self._account(0)

    def lost(self) -> None:
        """The client is gone. What the dispatcher has goes on; its replies go nowhere."""
        self._delivery = None
        self._account(0)

    def take_replies(self, delivery: _Delivery) -> None:
        """Send the replies whose turn has come. For `_Delivery`, when one became known."""
        if delivery is not self._delivery:
            return
        recipients, known = delivery.envelope.recipients, delivery.replies
        try:
            while self._answered < len(known):
                reply = known[self._answered]
                if reply is None:
                    break
                self._send_reply(recipients[self._answered], reply)
                if failpoint.ACTIVE and self._answered == 1 < len(known):
                    self.on_first_reply()
            else:
                self._delivery = None
        finally:  # a reply that is known must leave, whatever fails here: the client would wait
            if not self._advancing:
                self._wake()

    def _on_mail(self, event: MailFrom) -> None:
        if self._budget.used + event.size > self._budget.limit:
            self._connection.reply(replies.NO_STORAGE)
            return
        self._mail = event
        self._id = event.peer.ident or next(self._ids)
        if event.unusable:
            log.logger.warning(
                "%s: the sender is no address, and counts as the null one: %a",
                self._id,
                event.unusable[:_SHOWN],
            )
        self._recipients, self._routed = [], []
        self.began = time.monotonic()
        self._connection.reply(replies.SENDER_OK)

    def _on_rcpt(self, recipient: str) -> None:
        routed = self._dispatcher.route(recipient)
        if routed:
            self._connection.reply(replies.RECIPIENT_OK)
            self._recipients.append(recipient)
            self._routed.append(routed)
        else:
            self._connection.reply(replies.NO_SUCH_RECIPIENT)
            metrics.count("recipients_refused")
            log.event(
                "refused", self._id, recipient=recipient, reply=replies.NO_SUCH_RECIPIENT.line
            )

    def _on_message(self, content: bytes) -> None:
        self.last_message = time.monotonic()
        mail, recipients = self._mail, tuple(self._recipients)
        if self._charged:
            self._account(0)
        if self._budget.used + len(content) > self._budget.limit:
            self._connection.fail(replies.NO_STORAGE)
            self._on_discarded(replies.NO_STORAGE)
            return
        envelope = Envelope(
            mail.sender,
            recipients,
            mail.peer,
            mail.smtputf8,
            mail.eight_bit,
            time.time(),
            self._id,
        )
        log.event(
            "received",
            self._id,
            sender=mail.sender or "<>",
            recipients=len(recipients),
            size=len(content),
            client=self._client if mail.peer is NOBODY else _told(mail.peer) or self._client,
        )
        self._answered = 0
        self._delivery = _Delivery(self, envelope, len(content), self._budget)
        self._dispatcher.deliver(envelope, content, self._routed, self._delivery.done)

    def _on_discarded(self, reply: Reply) -> None:
        self.last_message = time.monotonic()
        self._account(0)
        for recipient in self._recipients:
            log.event("replied", self._id, recipient=recipient, reply=reply.line)

    def _send_reply(self, recipient: str, reply: Reply) -> None:
        self._answered += 1
        self._connection.reply(reply)
        log.event("replied", self._id, recipient=recipient, reply=reply.line)

    def _give_up(self) -> None:
        """Answer whatever waits for a reply: with what is known, else with 451."""
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            for index in range(self._answered, len(delivery.replies)):
                reply = delivery.replies[index] or replies.LOCAL_ERROR
                self._send_reply(delivery.envelope.recipients[index], reply)
        self._connection.fail(replies.LOCAL_ERROR)

    def _account(self, held: int) -> None:
        """Let the budget know that ``held`` octets of a message that is coming in are held."""
        if held == self._charged:
            return
        self._budget.used += held - self._charged
        self._charged = held
        if held and self._budget.used > self._budget.limit:
            self._connection.discard(replies.NO_STORAGE)
            self._account(0)


class _Delivery:
    """A message that the dispatcher has, and the replies it gave so far."""

    __slots__ = ("_budget", "_left", "_session", "_size", "envelope", "replies")

    def __init__(self, session: Session, envelope: Envelope, size: int, budget: Budget) -> None:
        self._session = session
        self._size = size
        self._budget = budget
        self._left = len(envelope.recipients)
        self.envelope = envelope
        self.replies: list[Reply | None] = [None] * self._left
        budget.used += size

    def done(self, index: int, reply: Reply) -> None:
        """The dispatcher's answer for one recipient. Raises LocalProtocolError for a second one."""
        if self.replies[index] is not None:
            raise LocalProtocolError(f"recipient {index} was answered already, now with {reply}")
        self.replies[index] = reply
        self._left -= 1
        if not self._left:
            self._budget.used -= self._size
        self._session.take_replies(self)


def _told(peer: Peer) -> str:
    """The client as Postfix told it; "" where it did not."""
    return f"{peer.name or 'unknown'}[{peer.addr}]" if peer.addr else peer.name
