"""lamson.service.http_server: what strangers send it, and how many of them there are."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from lamson.net.listen import bind
from lamson.service.http_server import Answer, HttpServer, plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


async def page() -> Answer:
    return plain(HTTPStatus.OK, "well")


async def fails() -> Answer:
    raise ZeroDivisionError


def served(work: Callable[[str, int], Awaitable[Any]], **options: Any) -> Any:
    """What ``work(host, port)`` gives while a server is there."""

    async def serve() -> Any:
        server = HttpServer({"/page": page, "/fails": fails}, **options)
        listener = bind("127.0.0.1:0")
        host, port = listener.getsockname()
        await server.start([listener])
        try:
            return await work(host, port)
        finally:
            server.stop()

    return asyncio.run(serve())


def asked(request: bytes, **options: Any) -> bytes:
    """What it answers, up to the end of the connection."""

    async def ask(host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request)
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
        return answer

    answer: bytes = served(ask, **options)
    return answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK"),
        (b"GET /page HTTP/1.0\r\n\r\n", b"200 OK"),
        (b"GET /page?a=b HTTP/1.0\n\n", b"200 OK"),
        (b"GET /elsewhere HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET /fails HTTP/1.1\r\n\r\n", b"500 Internal Server Error"),
        (b"POST /page HTTP/1.1\r\nContent-Length: 5\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET /page\r\n\r\n", b"400 Bad Request"),
        (b"EHLO there\r\n", b"400 Bad Request"),
        (b"\x16\x03\x01\x02\x00\x01", b"400 Bad Request"),
        (b"\0" * 100, b"400 Bad Request"),
        (b"get /page http/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET /page HTTP/1.1\r\n" + b"A: b\r\n" * 2000, b"431 Request Header Fields Too Large"),
    ],
)
def test_a_request_and_its_answer(request_: bytes, status: bytes) -> None:
    answer = asked(request_)
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    if status == b"405 Method Not Allowed":
        assert b"\r\nAllow: GET, HEAD\r\n" in answer


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"127.0.0.1:9100", b"200"),
        (b"[::1]:9100", b"200"),
        (b"Localhost", b"200"),
        (b"lamson:9100", b"200"),
        (socket.gethostname().encode(), b"200"),
        (b"rebound.example:9100", b"421"),
        (b"127.0.0.1.rebound.example", b"421"),
        (b"localhost\r\nhOST:  rebound.example", b"421"),
    ],
)
def test_a_name_that_was_made_to_lead_here_is_refused(host: bytes, status: bytes) -> None:
    answer = asked(b"GET /page HTTP/1.1\r\nX: y\r\nHost: " + host + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_head_has_the_length_and_no_body() -> None:
    answer = asked(b"HEAD /page HTTP/1.1\r\n\r\n")
    assert b"\r\nContent-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_a_slow_client_is_closed() -> None:
    assert asked(b"GET /page HT", timeout=0.05) == b""


def test_a_stranger_is_refused() -> None:
    answer = asked(b"GET /page HTTP/1.1\r\n\r\n", allow=["192.0.2.0/24"])
    assert answer.startswith(b"HTTP/1.1 403 ")


def test_a_unix_socket_does_as_well(tmp_path: Path) -> None:
    async def serve() -> bytes:
        server = HttpServer({"/page": page}, allow=["192.0.2.0/24"])
        await server.start([bind(f"unix:{tmp_path}/status")])
        reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/status")
        writer.write(b"GET /page HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        server.stop()
        return answer

    assert asyncio.run(serve()).endswith(b"\r\n\r\nwell\n")


def test_of_a_crowd_so_many_are_served_and_the_rest_is_told() -> None:
    """While they hold all places somebody who asks is told 503, and served when they are gone."""

    async def crowd(host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        idle = [await asyncio.open_connection(host, port) for _ in range(300)]
        turned_away = 0
        for reader, _ in idle[8:]:
            async with asyncio.timeout(60):
                answer = await reader.read()
            turned_away += answer.startswith(b"HTTP/1.1 503 ")
        assert turned_away == 292
        for _, writer in idle:
            writer.close()
        answer = b""
        while not answer.startswith(b"HTTP/1.1 200 "):
            answer = await loop.run_in_executor(None, get, host, port)

    def get(host: str, port: int) -> bytes:
        with socket.create_connection((host, port), 60) as sock:
            sock.sendall(b"GET /page HTTP/1.1\r\n\r\n")
            return sock.makefile("rb").read()

    served(crowd, max_connections=8, timeout=60.0)
