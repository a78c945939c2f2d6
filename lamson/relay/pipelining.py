"""Mail transactions over an SMTP connection that is open already: pipelined (RFC 2920).

aiosmtplib connects, secures and logs in; it sends one command at a time, though, and each would
cost a round trip and half a millisecond of ours. So this takes over the transport. MAIL, all RCPT
and DATA go out in one write; the message follows in another, and with it the commands of the next
transaction that waits: a stream of messages costs one write and one read for each. A large message
is written piece by piece, as the server takes it: no copy of it lies in memory meanwhile.

Whatever the server does that it should not ends the connection with `ConnectionBroken`: then nobody
knows what became of a message whose content was on its way, and the caller tries again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from lamson.smtp.dots import PIECE, stuffed, stuffed_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

_MAX_REPLY = 64 * 1024  # octets of one reply
_START_DATA = 354


class ConnectionBroken(Exception):
    """The connection ended, timed out, or was talked nonsense on.

    ``is_doubtful`` tells whether the server may have the message all the same.
    """

    def __init__(self, reason: str, *, is_doubtful: bool = True) -> None:
        super().__init__(reason)
        self.is_doubtful = is_doubtful


class Answer(NamedTuple):
    """One reply of the server."""

    code: int
    text: str

    @property
    def is_positive(self) -> bool:
        return self.code < 300

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


# Recipients that were refused, with the answer to each, and the answer to the whole.
Answers = tuple[list[tuple[str, Answer]], Answer]

if TYPE_CHECKING:
    # Yields commands that are sent together, or a message; is sent the answers to them, and returns
    # the result.
    _Dialogue = Generator[list[bytes] | bytes, list[Answer], Answers]


class _Transaction:
    """A dialogue under way, or waiting for its turn."""

    __slots__ = ("answers", "asked_in", "dialogue", "done", "expected", "is_closing", "unsent")

    def __init__(self, dialogue: _Dialogue) -> None:
        self.dialogue = dialogue
        self.done: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self.unsent: list[bytes] = []
        self.expected = 0
        self.asked_in = 0  # which read of the connection
        self.answers: list[Answer] = []
        self.is_closing = False  # the message, or what stands in its place, was sent


class Pipeline(asyncio.Protocol):
    """Takes over ``transport``. ``timeout`` is in seconds, for each answer.

    Without ``is_pipelining`` the server did not offer it: then each command awaits its answer.
    """

    def __init__(
        self, transport: asyncio.Transport, timeout: float, *, is_pipelining: bool = True
    ) -> None:
        self._transport = transport
        self._timeout = timeout
        self._is_pipelining = is_pipelining
        self._buffer = b""
        self._lines: list[bytes] = []
        self._waiting: deque[_Transaction] = deque()
        self._active: deque[_Transaction] = deque()  # two at most: the second has sent commands
        self._error: str | None = None
        self._rest: Iterator[bytes] | None = None  # of the message that is being sent
        self._is_paused = False
        self._loop = asyncio.get_running_loop()
        self._heard_at = 0.0
        self._reads = 0  # odd while one is being handled
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    @property
    def is_usable(self) -> bool:
        return self._error is None and not self._transport.is_closing()

    @property
    def is_busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._active)

    async def send(
        self,
        sender: str,
        recipients: Sequence[str],
        content: bytes,
        options: str = "",
        option_of: Callable[[str], str] = lambda recipient: "",
    ) -> Answers:
        """One transaction. ``content`` has CRLF line ends; addresses were checked before.
        ``options`` follow the sender, what ``option_of`` gives each recipient.

        Gives the recipients that were refused, with the answer to each, and the answer to the
        whole; a positive one means that the server has the message for the other recipients.
        Several may be under way at a time: they are sent one behind the other. Raises
        ConnectionBroken.
        """
        return await self._run(_deliver(sender, recipients, content, options, option_of))

    async def check(self) -> None:
        """Ask whether the server is still there. Raises ConnectionBroken."""
        await self._run(_ask_nothing())

    def close(self) -> None:
        """Say QUIT, without waiting for the answer; cut off a transaction that nobody awaits."""
        if self.is_usable and not self._active:
            self._transport.write(b"QUIT\r\n")
            self._transport.close()
            self._end("closed")
        else:  # what waits to be sent of a message must not become one
            self._break("closed")

    def data_received(self, data: bytes) -> None:
        self._reads += 1
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self._heard_at = self._loop.time()
        for line in lines:
            self._lines.append(line.rstrip(b"\r"))
            if line[3:4] != b"-" and self._error is None:
                self._complete()
        self._reads += 1
        if len(self._buffer) + sum(map(len, self._lines)) > _MAX_REPLY:
            self._break("the server's reply is too long")

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._send_rest()

    def eof_received(self) -> None:
        self._break("the server closed the connection")

    def connection_lost(self, error: Exception | None) -> None:
        self._break(f"the connection was lost: {error or 'closed by the server'}")

    async def _run(self, dialogue: _Dialogue) -> Answers:
        if not self.is_usable:
            raise ConnectionBroken(self._error or "the connection is closed", is_doubtful=False)
        transaction = _Transaction(dialogue)
        self._waiting.append(transaction)
        if not self._active:
            self._transport.write(self._begin())
        return await transaction.done

    def _begin(self) -> bytes:
        """Begin the next transaction that somebody awaits still; gives what to send."""
        while self._waiting:
            transaction = self._waiting.popleft()
            if not transaction.done.done():
                if not self._active:
                    self._heard_at = self._loop.time()
                self._active.append(transaction)
                if self._timer is None:
                    self._watch()
                return self._prepare(transaction, next(transaction.dialogue))
        return b""

    def _prepare(self, transaction: _Transaction, commands: list[bytes] | bytes) -> bytes:
        """Expect answers to ``commands``; gives what to send of them, at first."""
        transaction.asked_in = self._reads
        transaction.answers = []
        if isinstance(commands, bytes):
            transaction.expected = 1
            if len(commands) <= PIECE:
                return stuffed(commands)
            self._rest = stuffed_pieces(commands)
            return next(self._rest)
        transaction.expected = len(commands)
        if self._is_pipelining:
            return b"".join(commands)
        first, *transaction.unsent = commands
        return first

    def _complete(self) -> None:
        """A whole reply has arrived, in ``_lines``."""
        lines, self._lines = self._lines, []
        code = lines[-1][:3]
        is_asked = self._active and self._active[0].asked_in != self._reads  # not just now
        if not code.isdigit() or not is_asked:
            unasked = lines[0].decode("utf-8", "replace")[:200]
            self._break(f"the server said, unasked: {unasked}")
            return
        text = " ".join(line[4:].decode("utf-8", "replace").strip() for line in lines)
        answer = Answer(int(code), text)
        if answer.code == 421:
            self._break(str(answer))
            return
        if self._rest is not None and answer.is_positive:
            self._break(f"the server answered half a message by: {answer}")
            return
        transaction = self._active[0]
        transaction.answers.append(answer)
        if transaction.unsent:
            transaction.asked_in = self._reads
            self._transport.write(transaction.unsent.pop(0))
        elif len(transaction.answers) == transaction.expected:
            self._go_on(transaction)

    def _go_on(self, transaction: _Transaction) -> None:
        """All that was sent of a transaction is answered: send what follows, or end it."""
        try:
            commands = transaction.dialogue.send(transaction.answers)
        except ConnectionBroken as error:
            self._break(str(error))
            return
        except StopIteration as end:
            self._active.popleft()
            if not transaction.done.done():
                transaction.done.set_result(end.value)
            if self._rest is not None:
                self._break("the server refused half a message")
            elif not self._active:
                data = self._begin()
                if data:
                    self._transport.write(data)
            return
        if transaction.done.done():  # cancelled: its message is to go elsewhere, or later
            self._break("nobody awaits the answer")
            return
        transaction.is_closing = True
        data = self._prepare(transaction, commands)
        if self._rest is None and self._is_pipelining and self._waiting:
            data += self._begin()
        self._transport.write(data)
        self._send_rest()

    def _send_rest(self) -> None:
        """Send more of a large message, as far as the server takes it now."""
        while self._rest is not None and not self._is_paused:
            self._heard_at = self._loop.time()  # a slow server is no silent one
            data = next(self._rest, None)
            if data is None:
                self._rest = None
                data = self._begin() if self._is_pipelining and self._waiting else b""
            self._transport.write(data)

    def _watch(self) -> None:
        """Break the connection when an answer is overdue."""
        self._timer = None
        if self._active:
            overdue_at = self._heard_at + self._timeout
            if self._loop.time() >= overdue_at:
                self._break(f"no answer within {self._timeout:g} s")
            else:
                self._timer = self._loop.call_at(overdue_at, self._watch)

    def _break(self, reason: str) -> None:
        if self._error is None:
            self._transport.abort()
            self._end(reason)

    def _end(self, reason: str) -> None:
        """Nothing is sent any more; whoever waits is told."""
        self._error = reason
        self._rest = None
        if self._timer is not None:
            self._timer.cancel()
        for transaction in (*self._active, *self._waiting):
            transaction.dialogue.close()
            if not transaction.done.done():
                broken = ConnectionBroken(reason, is_doubtful=transaction.is_closing)
                transaction.done.set_exception(broken)
        self._active.clear()
        self._waiting.clear()


def _deliver(
    sender: str,
    recipients: Sequence[str],
    content: bytes,
    options: str,
    option_of: Callable[[str], str],
) -> _Dialogue:
    commands = [f"MAIL FROM:<{sender}>{options}\r\n".encode()]
    commands += [f"RCPT TO:<{one}>{option_of(one)}\r\n".encode() for one in recipients]
    commands.append(b"DATA\r\n")
    mail, *rcpts, data = yield commands
    answers = zip(recipients, rcpts, strict=True)
    refused = [(one, answer) for one, answer in answers if not answer.is_positive]
    if not mail.is_positive:  # what it says to the recipients (503) only follows from that
        refused, final = [], mail
    elif len(refused) == len(rcpts):
        final = refused[0][1]
    elif data.is_positive:
        raise ConnectionBroken(f"the server answered DATA by: {data}")
    elif data.code != _START_DATA:
        final = data
    else:
        (final,) = yield content
        return refused, final
    # RFC 2920 section 3.1: a server that wants data for nobody gets an empty message.
    yield [b".\r\n" if data.code == _START_DATA else b"RSET\r\n"]
    return refused, final


def _ask_nothing() -> _Dialogue:
    (answer,) = yield [b"NOOP\r\n"]
    return [], answer
