"""The outside world behind Postfix: an SMTP server that keeps what it is given.

It runs in a thread of its own. Recipients and senders can be refused, now or until further notice.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP

from lamson.net.accept import stop_accepting
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import EmailMessage
    from types import TracebackType


@dataclass(frozen=True)
class Delivered:
    """One message that arrived: its envelope, what MAIL FROM declared, its bytes."""

    sender: str
    recipients: tuple[str, ...]
    options: tuple[str, ...]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def body(self) -> bytes:
        return self.content.partition(b"\r\n\r\n")[2]


class _Server(SMTP):
    line_length_limit = 1 << 20  # RFC 5321 has 998; most of the world takes longer lines


class Sink:
    """Use as a context manager; ``port`` is known from the start and stays the same."""

    def __init__(self, protocol: type[SMTP] = _Server) -> None:
        self._protocol = protocol  # LMTP for a mailbox server
        self.messages: list[Delivered] = []
        self.refusals: dict[str, str] = {}
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="sink", daemon=True)

    def refuse(self, recipient: str, reply: str = "550 5.1.1 No such user") -> None:
        """Answer RCPT TO for this address with ``reply`` from now on."""
        self.refusals[recipient] = reply

    def accept(self, recipient: str) -> None:
        """Take back a `refuse`."""
        del self.refusals[recipient]

    def to(self, recipient: str) -> list[Delivered]:
        """What arrived for this address, in order."""
        return [message for message in list(self.messages) if recipient in message.recipients]

    def wait(
        self,
        count: int = 1,
        *,
        to: str | None = None,
        where: Callable[[Delivered], bool] = lambda message: True,
        timeout: float = 60.0,
    ) -> list[Delivered]:
        """Wait for ``count`` messages (for ``to``; where ``where`` holds); returns them all."""

        def found() -> list[Delivered]:
            pool = list(self.messages) if to is None else self.to(to)
            return [message for message in pool if where(message)]

        return wait_for(
            lambda: hits if len(hits := found()) >= count else [],
            lambda: f"{count} messages to {to or 'anybody'}; the sink holds {self.messages}",
            timeout=timeout,
        )

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(
            loop.create_server(
                lambda: self._protocol(
                    self,
                    enable_SMTPUTF8=True,
                    hostname="world.test",
                    data_size_limit=None,
                    loop=loop,
                ),
                sock=self._socket,
            )
        )
        loop.run_forever()
        loop.run_until_complete(stop_accepting([server]))
        for task in (tasks := asyncio.all_tasks(loop)):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(server.wait_closed())

    # The hooks of aiosmtpd.

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if refusal := self.refusals.get(address):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append(
            Delivered(
                sender=(envelope.mail_from or "").removeprefix("<>"),
                recipients=tuple(envelope.rcpt_tos),
                options=tuple(envelope.mail_options),
                content=bytes(envelope.original_content),
            )
        )
        return "250 2.0.0 Ok"
