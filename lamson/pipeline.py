"""Mail transactions over an SMTP connection that is open already: pipelined (RFC 2920).

aiosmtplib connects, secures and logs in; it sends one command at a time, though, and each would
cost a round trip and half a millisecond of ours. So this takes over the transport: MAIL, all RCPT
and DATA go out in one write, the message in another. Whatever the server does that it should not
ends the connection with `ConnectionBroken`: then nobody knows, and the caller tries again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_REPLY = 64 * 1024  # octets of one reply
_START_DATA = 354


class ConnectionBroken(Exception):
    """The connection ended, timed out, or was talked nonsense on."""


class Answer(NamedTuple):
    """One reply of the server."""

    code: int
    text: str

    @property
    def is_positive(self) -> bool:
        return self.code < 300

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


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
        self._answers: deque[Answer] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._expected = 0
        self._error: str | None = None
        transport.set_protocol(self)

    @property
    def is_usable(self) -> bool:
        return self._error is None and not self._transport.is_closing()

    async def send(
        self, sender: str, recipients: Sequence[str], content: bytes, options: str = ""
    ) -> tuple[list[tuple[str, Answer]], Answer]:
        """One transaction. ``content`` has CRLF line ends; addresses were checked before.

        Gives the recipients that were refused, with the answer to each, and the answer to the
        whole; a positive one means that the server has the message for the other recipients.
        Raises ConnectionBroken.
        """
        commands = [f"MAIL FROM:<{sender}>{options}\r\n".encode()]
        commands += [f"RCPT TO:<{one}>\r\n".encode() for one in recipients]
        commands.append(b"DATA\r\n")
        mail, *rcpts, data = await self._ask(commands)
        answers = zip(recipients, rcpts, strict=True)
        refused = [(one, answer) for one, answer in answers if not answer.is_positive]
        if not mail.is_positive:
            final = mail
        elif len(refused) == len(rcpts):
            final = refused[0][1]
        elif data.code != _START_DATA:
            final = data
        else:
            (final,) = await self._ask([stuffed(content)])
            return refused, final
        # RFC 2920 section 3.1: a server that wants data for nobody gets an empty message.
        await self._ask([b".\r\n" if data.code == _START_DATA else b"RSET\r\n"])
        return refused, final

    async def check(self) -> None:
        """Ask whether the server is still there. Raises ConnectionBroken."""
        await self._ask([b"NOOP\r\n"])

    def close(self) -> None:
        """Say QUIT, without waiting for the answer; cut off a transaction that nobody awaits."""
        if self.is_usable and not self._expected:
            self._transport.write(b"QUIT\r\n")
            self._transport.close()
        else:  # what waits to be sent of a message must not become one
            self._transport.abort()
        self._error = self._error or "closed"

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._lines.append(line.rstrip(b"\r"))
            if line[3:4] != b"-":
                self._complete()
        if len(self._buffer) + sum(map(len, self._lines)) > _MAX_REPLY:
            self._break("the server's reply is too long")

    def eof_received(self) -> None:
        self._break("the server closed the connection")

    def connection_lost(self, error: Exception | None) -> None:
        self._break(f"the connection was lost: {error or 'closed by the server'}")

    async def _ask(self, commands: Sequence[bytes]) -> list[Answer]:
        """Send commands, all at once where the server offers that, and await their answers."""
        if self._is_pipelining:
            self._write(b"".join(commands), len(commands))
            return [await self._answer() for _ in commands]
        answers = []
        for command in commands:
            self._write(command, 1)
            answers.append(await self._answer())
        return answers

    def _write(self, data: bytes, answers: int) -> None:
        if not self.is_usable:
            raise ConnectionBroken(self._error or "the connection is closed")
        self._expected += answers
        self._transport.write(data)

    async def _answer(self) -> Answer:
        while not self._answers:
            if self._error is not None:
                raise ConnectionBroken(self._error)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._timeout):
                    await self._waiter
            except TimeoutError:
                self._break(f"no answer within {self._timeout:g} s")
        answer = self._answers.popleft()
        if answer.code == 421:
            self._break(str(answer))
            raise ConnectionBroken(str(answer))
        return answer

    def _complete(self) -> None:
        lines, self._lines = self._lines, []
        code = lines[-1][:3]
        if not code.isdigit() or not self._expected:
            unasked = lines[0].decode("utf-8", "replace")[:200]
            self._break(f"the server said, unasked: {unasked}")
            return
        self._expected -= 1
        text = " ".join(line[4:].decode("utf-8", "replace").strip() for line in lines)
        self._answers.append(Answer(int(code), text))
        self._wake()

    def _break(self, reason: str) -> None:
        if self._error is None:
            self._error = reason
            self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def stuffed(content: bytes) -> bytes:
    """``content`` as it follows DATA, with its end (RFC 5321 section 4.5.2)."""
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b".\r\n" if content.endswith(b"\r\n") or not content else b"\r\n.\r\n")
