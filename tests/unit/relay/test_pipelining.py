"""lamson.relay.pipelining, against a server that follows a script."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from lamson.relay.pipelining import ConnectionBroken, Pipeline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

OK = b"250 2.0.0 Ok\r\n"
GO_ON = b"354 Go on\r\n"
TAKEN = "250 2.0.0 Ok"


class Server(asyncio.Protocol):
    """Answers each write of the client with the next of ``answers``; None hangs up."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.heard: list[bytes] = []
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.answers:
            self.heard.append(data)
            answer = self.answers.pop(0)
            if answer is None:
                self.transport.close()
            else:
                self.transport.write(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set()


def talk(server: Server, story: Callable[[Pipeline], Awaitable[Any]], **options: Any) -> Any:
    async def run() -> Any:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: server, sock=theirs)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        pipeline = Pipeline(transport, options.pop("timeout", 5.0), **options)
        try:
            return await story(pipeline)
        finally:
            pipeline.close()
            await server.gone.wait()

    return asyncio.run(run())


async def send(pipeline: Pipeline, *recipients: str) -> Any:
    refused, final = await pipeline.send("l@test.com", recipients or ("a@b.c",), b"x\r\n")
    return [(one, str(answer)) for one, answer in refused], str(final)


def test_a_transaction_is_two_writes() -> None:
    server = Server(OK + OK + OK + GO_ON, OK)
    assert talk(server, lambda p: send(p, "a@b.c", "d@e.f")) == ([], TAKEN)
    assert server.heard == [
        b"MAIL FROM:<l@test.com>\r\nRCPT TO:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n",
        b"x\r\n.\r\n",
    ]


def test_without_pipelining_each_command_awaits_its_answer() -> None:
    server = Server(OK, OK, GO_ON, OK)
    assert talk(server, send, is_pipelining=False) == ([], TAKEN)
    assert len(server.heard) == 4


def test_several_transactions_share_the_connection() -> None:
    server = Server(OK + OK + GO_ON, OK, OK + OK + GO_ON, OK)

    async def story(pipeline: Pipeline) -> None:
        assert await send(pipeline) == ([], TAKEN)
        assert await send(pipeline) == ([], TAKEN)

    talk(server, story)


def test_the_next_transaction_begins_with_the_content_of_the_one_before() -> None:
    server = Server(OK + OK + GO_ON, OK + OK + OK + GO_ON, OK)
    again = b"MAIL FROM:<l@test.com>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n"

    async def story(pipeline: Pipeline) -> None:
        one, other = await asyncio.gather(send(pipeline), send(pipeline, "d@e.f"))
        assert one == other == ([], TAKEN)

    talk(server, story)
    assert server.heard[1:] == [b"x\r\n.\r\n" + again, b"x\r\n.\r\n"]


def test_a_refused_transaction_does_not_disturb_the_one_behind_it() -> None:
    server = Server(OK + b"550 no\r\n503 x\r\n", OK + OK + OK + GO_ON, OK)

    async def story(pipeline: Pipeline) -> None:
        refused, taken = await asyncio.gather(send(pipeline), send(pipeline, "d@e.f"))
        assert refused == ([("a@b.c", "550 no")], "550 no")
        assert taken == ([], TAKEN)

    talk(server, story)


def test_without_pipelining_the_next_transaction_waits() -> None:
    server = Server(*[OK, OK, GO_ON, OK] * 2)

    async def story(pipeline: Pipeline) -> None:
        one, other = await asyncio.gather(send(pipeline), send(pipeline))
        assert one == other == ([], TAKEN)

    talk(server, story, is_pipelining=False)
    assert len(server.heard) == 8


def test_only_the_message_whose_content_was_sent_is_in_doubt() -> None:
    server = Server(OK + OK + GO_ON, None)

    async def story(pipeline: Pipeline) -> None:
        both = asyncio.gather(send(pipeline), send(pipeline), return_exceptions=True)
        one, other = await both
        assert isinstance(one, ConnectionBroken)
        assert isinstance(other, ConnectionBroken)
        assert (one.is_doubtful, other.is_doubtful) == (True, False)

    talk(server, story)


def test_a_message_whose_turn_had_not_come_when_nobody_awaited_it_is_not_sent() -> None:
    server = Server(OK + OK + GO_ON, OK, OK + OK + GO_ON, OK)

    async def story(pipeline: Pipeline) -> None:
        first = asyncio.create_task(send(pipeline, "a@b.c"))
        second = asyncio.create_task(send(pipeline, "no@b.c"))
        await asyncio.sleep(0)
        second.cancel()
        assert await first == ([], TAKEN)
        assert await send(pipeline) == ([], TAKEN)

    talk(server, story)
    assert b"no@b.c" not in b"".join(server.heard)


def test_a_sender_that_is_refused_for_now_is_not_taken_for_recipients_refused_for_good() -> None:
    server = Server(b"452 4.3.1 no room\r\n503 5.5.1 need MAIL\r\n503 5.5.1 need RCPT\r\n", OK)
    assert talk(server, send) == ([], "452 4.3.1 no room")


def test_some_recipients_are_refused() -> None:
    server = Server(OK + OK + b"550-5.1.1 no\r\n550 5.1.1 such user\r\n" + GO_ON, OK)
    outcome = talk(server, lambda p: send(p, "a@b.c", "d@e.f"))
    assert outcome == ([("d@e.f", "550 5.1.1 no 5.1.1 such user")], TAKEN)


def test_all_recipients_are_refused() -> None:
    server = Server(OK + b"550 no\r\n554 no valid recipients\r\n", OK)
    assert talk(server, send) == ([("a@b.c", "550 no")], "550 no")
    assert server.heard[1] == b"RSET\r\n"


def test_a_server_that_wants_data_for_nobody_gets_an_empty_message() -> None:
    server = Server(OK + b"550 no\r\n" + GO_ON, b"554 no valid recipients\r\n")
    assert talk(server, send) == ([("a@b.c", "550 no")], "550 no")
    assert server.heard[1] == b".\r\n"


@pytest.mark.parametrize(
    ("answers", "overall"),
    [
        ([b"553 not yours\r\n503 x\r\n503 x\r\n", OK], "553 not yours"),
        ([OK + OK + b"451 later\r\n", OK], "451 later"),
        ([OK + OK + GO_ON, b"552 too big\r\n"], "552 too big"),
    ],
)
def test_the_whole_is_refused(answers: list[bytes], overall: str) -> None:
    assert talk(Server(*answers), send)[1] == overall


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([None], "closed the connection|connection was lost"),
        ([OK + OK + GO_ON, None], "closed the connection|connection was lost"),
        ([b"421 4.3.2 shutting down\r\n"], "421 4.3.2 shutting down"),
        ([b"what?\r\n"], "unasked: what"),
        ([OK * 3], "answered DATA by: 250"),
        ([OK * 2 + GO_ON + OK], "unasked: 250"),
        ([b"250-" + b"x" * 100_000], "too long"),
    ],
)
def test_what_ends_the_connection(answers: list[bytes | None], message: str) -> None:
    async def story(pipeline: Pipeline) -> None:
        with pytest.raises(ConnectionBroken, match=message):
            await send(pipeline)
        assert not pipeline.is_usable
        with pytest.raises(ConnectionBroken):
            await pipeline.check()

    talk(Server(*answers), story)


def test_content_is_not_sent_when_nobody_awaits_the_answer_any_more() -> None:
    server = Server(OK + OK + GO_ON, OK)

    async def story(pipeline: Pipeline) -> None:
        abandoned = asyncio.create_task(send(pipeline))
        await asyncio.sleep(0)
        behind = asyncio.create_task(send(pipeline))
        await asyncio.sleep(0)
        abandoned.cancel()
        with pytest.raises(ConnectionBroken, match="nobody awaits") as broken:
            await behind
        assert not broken.value.is_doubtful

    talk(server, story)
    assert len(server.heard) == 1


def test_a_message_that_nobody_awaits_any_more_is_not_sent_to_its_end() -> None:
    server = Server(OK + OK + GO_ON, b"")
    content = b"x" * 64 + b"\r\n"

    async def story(pipeline: Pipeline) -> None:
        sending = asyncio.create_task(pipeline.send("l@test.com", ["a@b.c"], content * 100_000))
        while len(server.heard) < 2:
            await asyncio.sleep(0)
        server.transport.pause_reading()
        sending.cancel()
        pipeline.close()
        server.transport.resume_reading()
        server.answers = [b""] * 1000
        await server.gone.wait()

    talk(server, story)
    assert not b"".join(server.heard).endswith((b".\r\n", b"QUIT\r\n"))


def test_a_server_that_is_silent() -> None:
    async def story(pipeline: Pipeline) -> None:
        with pytest.raises(ConnectionBroken, match="no answer within"):
            await send(pipeline)

    talk(Server(b"", b""), story, timeout=0.05)


LARGE = b".large\r\n" * 200_000


def test_a_large_message_is_written_piece_by_piece_and_the_next_one_behind_it() -> None:
    """So no copy of it waits to be sent."""
    server = Slow(LARGE)

    async def story(pipeline: Pipeline) -> Any:
        first = asyncio.create_task(pipeline.send("l@test.com", ["a@b.c"], LARGE))
        second = asyncio.create_task(send(pipeline))
        while not server.is_paused:
            await asyncio.sleep(0)
        waiting = pipeline._transport.get_write_buffer_size()
        server.go_on()
        return waiting, (await first)[1].text, await second

    waiting, reply, second = talk(server, story)
    assert waiting < len(LARGE) // 4
    assert (reply, second) == ("2.0.0 Ok", ([], TAKEN))


@pytest.mark.parametrize(
    ("answer", "is_an_outcome"), [(b"552 5.3.4 too big\r\n", True), (OK, False)]
)
def test_a_server_that_answers_half_a_message(answer: bytes, is_an_outcome: bool) -> None:
    """A refusal is one. Nobody knows what became of what it took."""
    server = Slow(LARGE)

    async def story(pipeline: Pipeline) -> Any:
        first = asyncio.create_task(pipeline.send("l@test.com", ["a@b.c"], LARGE))
        while not server.is_paused:
            await asyncio.sleep(0)
        server.transport.write(answer)
        try:
            return str((await first)[1])
        except ConnectionBroken as error:
            return str(error)
        finally:
            assert not pipeline.is_usable
            server.go_on()

    told = talk(server, story)
    assert told == ("552 5.3.4 too big" if is_an_outcome else f"{HALF}: {TAKEN}")


HALF = "the server answered half a message by"


class Slow(Server):
    """Stops to read within the content of the first message, until it is told to go on."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.is_paused = False
        self._left = len(content) * 9 // 8 + 3  # dots are doubled
        self._is_data = False
        self._buffer = b""

    def go_on(self) -> None:
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if not self._is_data:
            self._buffer += data
            while b"\r\n" in self._buffer and not self._is_data:
                line, _, self._buffer = self._buffer.partition(b"\r\n")
                self._is_data = line == b"DATA"
                self.transport.write(GO_ON if self._is_data else OK)
            data = self._buffer
        if self._is_data:
            content, self._buffer = data[: self._left], data[self._left :]
            self._left -= len(content)
            if content and not self.is_paused:
                self.is_paused = True
                self.transport.pause_reading()
            if not self._left:
                self.transport.write(OK)
                self._is_data, self._left = False, 6
                self.data_received(b"")
