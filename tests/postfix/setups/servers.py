"""Servers of others that a Postfix has around it, small: a content filter, a spam milter."""

from __future__ import annotations

import asyncio
import smtplib
import socketserver
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult

from tests.postfix.sink import Sink
from tests.waiting import free_port

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.service import LamsonService


class Provider(SMTP):
    """Takes mail from whoever logs in, and knows no TLS."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(
            *arguments,
            auth_require_tls=False,
            authenticator=lambda *_: AuthResult(success=True),
            **options,
        )
        self._auth_required = True


class ContentFilter(Sink):
    """Hands what it is given back to Postfix, at ``back``, with a field of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.back = free_port()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        content = b"X-Filtered: yes\r\n" + bytes(envelope.original_content)
        await asyncio.to_thread(self._hand_back, envelope, content)
        return "250 2.0.0 Ok"

    def _hand_back(self, envelope: Any, content: bytes) -> None:
        with smtplib.SMTP("127.0.0.1", self.back, local_hostname="filter.test", timeout=60) as on:
            on.sendmail(envelope.mail_from or "", envelope.rcpt_tos, content)


class SpamMilter:
    """A milter that gives each mail a field, as a spam filter does."""

    def __init__(self) -> None:
        class Answering(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError, struct.error):
                    self._answer()

            def _answer(self) -> None:
                while True:
                    (length,) = struct.unpack("!I", self.rfile.read(4))
                    data = self.rfile.read(length)
                    if data[:1] == b"O":  # version 6, may add fields, is told of everything
                        self._say(b"O" + struct.pack("!III", 6, 0x01, 0))
                    elif data[:1] == b"E":
                        self._say(b"hX-Spam-Status\x00No, score=0\x00")
                        self._say(b"c")
                    elif data[:1] == b"Q":
                        return
                    elif data[:1] not in (b"D", b"A", b"K"):  # macros, abort, and a new connection
                        self._say(b"c")

            def _say(self, data: bytes) -> None:
                self.wfile.write(struct.pack("!I", len(data)) + data)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Town:
    """What there is around each set-up: ``sinks`` by their places, the application's service."""

    sinks: dict[str, Sink]
    milter: SpamMilter
    filtering: ContentFilter
    lamson: LamsonService
    socketmap: int
    submission: int
    sasl: Path
    files: dict[str, Path]

    @property
    def names(self) -> dict[str, object]:
        """Where they listen, by the names that a set-up has for them; and files that it needs."""
        ports = {place: sink.port for place, sink in self.sinks.items()}
        return {"milter": self.milter.port, "back": self.filtering.back, **ports, **self.files}

    def forget(self) -> None:
        """Nothing has arrived yet."""
        for sink in self.sinks.values():
            sink.messages.clear()
