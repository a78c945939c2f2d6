"""A TCP proxy that cuts connections where a test says so.

It stands between Postfix and Lamson, in either direction, in a thread of its own. A `Rule` sees
every piece of data before it is passed on, and can have the connection cut.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from lamson.net.accept import stop_accepting
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType


class Verdict(NamedTuple):
    """What is passed on of a piece of data, and whether the connection is cut then."""

    data: bytes
    is_cut: bool = False


class Rule:
    """Cuts some connections; this one cuts none. A test lets it strike once with `arm`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # several proxies may share a rule
        self._armed = 0
        self.struck = 0

    def arm(self) -> None:
        """Strike once more, at the next opportunity."""
        self._armed += 1

    def take(self) -> bool:
        """True where it is to strike now; counts it."""
        with self._lock:
            if self.struck >= self._armed:
                return False
            self.struck += 1
            return True

    def from_client(self, link: Link, data: bytes) -> Verdict:
        return Verdict(data)

    def from_server(self, link: Link, data: bytes) -> Verdict:
        return Verdict(data)


class Link:
    """One proxied connection. ``note`` is for the rule to remember something."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.note = False
        self.is_abrupt = False  # what was passed on already need not arrive
        self._ends = (client, server)

    def cut(self) -> None:
        for end in self._ends:
            if self.is_abrupt:
                end.transport.abort()
            else:
                end.close()


def _ends_message(data: bytes) -> bool:
    """Postfix sends QUIT along with the final dot where it does not keep the connection."""
    return data.removesuffix(b"QUIT\r\n").endswith(b"\r\n.\r\n")


class AfterFinalDot(Rule):
    """Cuts when the whole message has been passed on and no reply has come back."""

    def from_client(self, link: Link, data: bytes) -> Verdict:
        return Verdict(data, _ends_message(data) and self.take())


class BetweenReplies(Rule):
    """Cuts after the first of the replies to a message."""

    def from_client(self, link: Link, data: bytes) -> Verdict:
        link.note = _ends_message(data)
        return Verdict(data)

    def from_server(self, link: Link, data: bytes) -> Verdict:
        if link.note and self.take():
            return Verdict(data[: data.index(b"\n") + 1], True)
        return Verdict(data)


class NoFinalReply(Rule):
    """Cuts instead of passing on Postfix's 250 for a message that it has queued."""

    def from_server(self, link: Link, data: bytes) -> Verdict:
        return Verdict(b"", True) if b"queued as" in data and self.take() else Verdict(data)


class Proxy:
    """Passes connections to ``port`` on to ``target``. Use as a context manager."""

    def __init__(self, target: int, rule: Rule) -> None:
        self.port = free_port()
        self.rule = rule
        self._target = target
        self._links: set[Link] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def open(self) -> None:
        """Accept connections."""
        self._do(self._open)

    def close(self) -> None:
        """Refuse connections, and cut those that there are."""
        self._do(self._close)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _do(self, what: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await what()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout=10)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _close(self) -> None:
        if self._server is not None:
            await stop_accepting([self._server])
            self._server = None
        for link in list(self._links):
            link.is_abrupt = True
            link.cut()
        for pump in self._pumps:  # also those that have no link yet
            pump.cancel()
        if self._pumps:
            await asyncio.wait(self._pumps)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except (OSError, asyncio.CancelledError):  # or the proxy closes
            writer.transport.abort()  # else the client would wait for a greeting, for a minute
            return
        link = Link(writer, far_writer)
        self._links.add(link)
        try:
            with suppress(asyncio.CancelledError):  # the proxy closes
                await asyncio.gather(
                    self._pump(link, reader, far_writer, self.rule.from_client),
                    self._pump(link, far_reader, writer, self.rule.from_server),
                )
        finally:
            self._links.discard(link)
            link.cut()

    @staticmethod
    async def _pump(
        link: Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        judge: Callable[[Link, bytes], Verdict],
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                passed, is_cut = judge(link, data)
                if passed:
                    writer.write(passed)
                    await writer.drain()
                if is_cut:
                    break
        link.cut()


class Swallow(Rule):
    """Passes nothing on any more, in either direction, over the connections there are by then."""

    def __init__(self) -> None:
        super().__init__()
        self._links: set[Link] = set()
        self._silent: set[Link] = set()
        self._lock = threading.Lock()

    def strike(self) -> None:
        with self._lock:
            self._silent |= self._links

    def from_client(self, link: Link, data: bytes) -> Verdict:
        with self._lock:
            self._links.add(link)
            return Verdict(b"" if link in self._silent else data)

    def from_server(self, link: Link, data: bytes) -> Verdict:
        return self.from_client(link, data)
