"""aiosmtpd's LMTP class with a handler that does nothing: ``PORT COUNTER``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.lmtp import LMTP

from tests.bench.counter import Counter


class Nothing:
    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self._counter.add(len(envelope.rcpt_tos))
        # One reply for each recipient, which aiosmtpd itself does not give.
        return "\r\n".join(["250 2.0.0 Ok"] * len(envelope.rcpt_tos))


async def serve(port: int, handler: object) -> None:
    """Serve LMTP with aiosmtpd until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: LMTP(handler, hostname="bench", loop=loop), "127.0.0.1", port, backlog=500
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Nothing(Counter(Path(sys.argv[2])))))
