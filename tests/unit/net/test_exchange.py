"""lamson.net.exchange: one question and its answer, within a time and a size."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from lamson.net.exchange import MAX_ANSWER, exchange
from tests.unit.answering_server import AnsweringServer, saying

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator


@pytest.fixture
def serve() -> Iterator[Callable[..., AnsweringServer]]:
    made: list[AnsweringServer] = []

    def start(answer: Callable[[socket.socket], None], *, request: int = 1) -> AnsweringServer:
        made.append(AnsweringServer(answer, request=request))
        return made[-1]

    yield start
    for one in made:
        one.close()


def ask(server: AnsweringServer, request: bytes = b"?", *, seconds: float = 30.0) -> bytes:
    deadline = time.monotonic() + seconds
    return exchange(
        "127.0.0.1", server.port, request, deadline, lambda answer: answer.endswith(b".")
    )


def test_the_answer_up_to_its_end(serve: Callable[..., AnsweringServer]) -> None:
    over = threading.Event()

    def and_stays(connection: socket.socket) -> None:
        connection.sendall(b"Yes.")
        over.wait(30)

    request = b"x" * 300_000
    server = serve(and_stays, request=len(request))
    assert ask(server, request) == b"Yes."
    assert server.asked == [request]
    over.set()


def test_a_server_that_closes_has_said_all(serve: Callable[..., AnsweringServer]) -> None:
    assert ask(serve(saying(b"Ye"))) == b"Ye"
    assert ask(serve(saying(b""))) == b""


def test_a_server_that_drips_is_left(serve: Callable[..., AnsweringServer]) -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        while not over.wait(0.01):
            connection.sendall(b"x")

    with pytest.raises(TimeoutError):
        ask(serve(drip), seconds=0.3)
    over.set()


def test_a_server_that_does_not_stop_is_left(serve: Callable[..., AnsweringServer]) -> None:
    with pytest.raises(ValueError, match="more than 262144 octets"):
        ask(serve(saying(b"x" * (2 * MAX_ANSWER))))


def test_no_time_is_no_answer(serve: Callable[..., AnsweringServer]) -> None:
    server = serve(saying(b"Yes."))
    with pytest.raises(TimeoutError):
        ask(server, seconds=0)
    server.close()
    with pytest.raises(OSError, match="refused"):
        ask(server)
