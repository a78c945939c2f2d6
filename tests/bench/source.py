"""Sends mail over LMTP as Postfix's lmtp(8) does, as fast as it can; no message is like another.

``PORT MESSAGES SESSIONS SIZE RECIPIENTS KEPT``. Commands are pipelined where the server offers it,
XFORWARD gives each message a long queue id of its own, and authors differ. Prints when it connected
and when it had the last reply (CLOCK_MONOTONIC). Exits with 1 and says why at the first reply that
is not positive.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
from typing import cast

_HEADER = """\
Received: from client.sender.test (client.sender.test [192.0.2.1])
\tby mail.bench.test (Postfix) with ESMTPS id {ident}
\tfor <someone@bench.test>; Sun, 22 Nov 2026 19:20:01 +0000 (UTC)
Received: from [192.0.2.77] (unknown [192.0.2.77])
\tby client.sender.test (Postfix) with ESMTPSA id 4hXfPm3xkSzJ9Gr
\tfor <someone@bench.test>; Sun, 22 Nov 2026 19:20:00 +0000 (UTC)
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=sender.test; s=mail;
\tt=1795372800; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;
\th=From:To:Subject:Date:Message-ID; b=dGhpcyBpcyBub3QgYSBzaWduYXR1cmU=
Date: Sun, 22 Nov 2026 19:20:00 +0000
From: An Author <{author}>
To: someone@bench.test
Subject: A message of the benchmark
Message-ID: <{ident}@sender.test>
User-Agent: Benchmark
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit
X-Mailer: none
List-Help: <mailto:nobody@sender.test>

""".replace("\n", "\r\n")
_LINE = b"The quick brown fox jumps over the lazy dog, and so on, and on, and on.\r\n"
_DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxy"


class Run:
    """The messages of one run, handed out to the sessions."""

    def __init__(self, messages: int, size: int, recipients: int) -> None:
        self.left = messages
        self.recipients = "".join(
            f"RCPT TO:<{number}someone@bench.test>\r\n" for number in range(recipients)
        )
        filling = size - len(_HEADER)
        self.body = (_LINE * (filling // len(_LINE) + 1))[: max(0, filling - 2)] + b"\r\n.\r\n"
        self._nonce = "".join(secrets.choice(_DIGITS) for _ in range(8))
        self._number = 0

    def next(self) -> tuple[str, str] | None:
        """Queue id and author of the next message; None when there is none left."""
        if not self.left:
            return None
        self.left -= 1
        number = self._number = self._number + 1
        digits = ""
        for _ in range(4):
            number, digit = divmod(number, len(_DIGITS))
            digits = _DIGITS[digit] + digits
        return f"{self._nonce}{digits}zJ9Gr", f"author{self._number % 50_000}@sender.test"


class Session(asyncio.Protocol):
    """One connection: greeting, LHLO, messages, QUIT."""

    def __init__(self, run: Run, recipients: int, kept: bool) -> None:
        self._run = run
        self._recipients = recipients
        self._kept = kept
        self._buffer = b""
        self._pipelining = self._xforward = False
        self._steps: list[bytes] = []
        self._waiting = 1  # replies that are still to come before the next step
        self._next = self._greet
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\r\n")
        for line in lines:
            if line[:1] not in b"23" or not line:
                self._fail(line)
                return
            if self._next == self._after_lhlo:
                self._pipelining |= b"PIPELINING" in line
                self._xforward |= b"XFORWARD" in line
            if line[3:4] == b" ":
                self._waiting -= 1
                if not self._waiting:
                    self._next()

    def _send(self, data: bytes, replies: int) -> None:
        self._waiting = replies
        self._transport.write(data)

    def _greet(self) -> None:
        self._next = self._after_lhlo
        self._send(b"LHLO mail.bench.test\r\n", 1)

    def _after_lhlo(self) -> None:
        self._start()

    def _start(self) -> None:
        message = self._run.next()
        if message is None:
            self._next = self._finish
            self._send(b"QUIT\r\n", 1)
            return
        ident, author = message
        commands = f"MAIL FROM:<{author}>\r\n{self._run.recipients}DATA\r\n"
        if self._xforward:
            commands = (
                "XFORWARD NAME=client.sender.test ADDR=192.0.2.1 PORT=40000\r\n"
                f"XFORWARD PROTO=ESMTP HELO=client.sender.test IDENT={ident} SOURCE=REMOTE\r\n"
                + commands
            )
        self._content = _HEADER.format(ident=ident, author=author).encode() + self._run.body
        self._steps = [line + b"\r\n" for line in commands.encode().split(b"\r\n")[:-1]]
        self._next = self._command
        self._command()

    def _command(self) -> None:
        if not self._steps:
            self._next = self._start if self._kept else self._again
            self._send(self._content, self._recipients)
        elif self._pipelining:
            steps, self._steps = self._steps, []
            self._send(b"".join(steps), len(steps))
        else:
            self._send(self._steps.pop(0), 1)

    def _again(self) -> None:
        self._next = self._finish
        self._send(b"QUIT\r\n", 1)

    def _finish(self) -> None:
        self._transport.close()
        if not self.done.done():
            self.done.set_result(None)

    def _fail(self, line: bytes) -> None:
        self._transport.abort()
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"refused: {line!r}"))


async def main() -> None:
    port, messages, sessions, size, recipients, kept = map(int, sys.argv[1:])
    run = Run(messages, size, recipients)
    loop = asyncio.get_running_loop()

    async def one() -> None:
        while True:
            _, session = await loop.create_connection(
                lambda: Session(run, recipients, bool(kept)), "127.0.0.1", port
            )
            await session.done
            if not run.left:
                return

    began = time.monotonic()
    await asyncio.gather(*(one() for _ in range(sessions)))
    print(began, time.monotonic())


if __name__ == "__main__":
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    try:
        asyncio.run(main())
    except ConnectionError as error:
        sys.exit(f"source: {error}")
