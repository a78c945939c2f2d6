"""lamson.net.descriptors"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from typing import TYPE_CHECKING, Any

import pytest

from lamson.net import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

NONE_LEFT = OSError(errno.EMFILE, "Too many open files")
ENDLESS = resource.RLIM_INFINITY


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], list[tuple[int, int]]]:
    """``limits(soft, hard)`` makes these the process's; gives what it is set to."""

    def make(soft: int, hard: int) -> list[tuple[int, int]]:
        made: list[tuple[int, int]] = []
        monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda which, pair: made.append(pair))
        return made

    return make


@pytest.mark.parametrize(
    ("soft", "hard", "made", "connections"),
    [
        (1024, 4096, [(1100, 4096)], 1000),
        (1024, ENDLESS, [(1100, ENDLESS)], 1000),
        (4096, 4096, [], 1000),
        (ENDLESS, ENDLESS, [], 1000),
        (256, 512, [(512, 512)], 412),
        (512, 512, [], 412),
        (50, 50, [], 10),
    ],
)
def test_the_limit_is_raised_to_what_is_needed_or_the_connections_are_fewer(
    limits: Callable[[int, int], list[tuple[int, int]]],
    caplog: pytest.LogCaptureFixture,
    soft: int,
    hard: int,
    made: list[tuple[int, int]],
    connections: int,
) -> None:
    assert (limits(soft, hard), descriptors.reserve(1000, 100)) == (made, connections)
    if connections < 1000:
        assert f"{connections} connections are as many as this process may have" in caplog.text
    else:
        assert not caplog.records


def test_few_connections_are_not_made_more(
    limits: Callable[[int, int], list[tuple[int, int]]],
) -> None:
    limits(50, 50)
    assert descriptors.reserve(3, 100) == 3


def test_a_connection_may_take_more_than_one(
    limits: Callable[[int, int], list[tuple[int, int]]],
) -> None:
    made = limits(1024, 4096)
    assert (descriptors.reserve(1000, 100, each=2), made) == (1000, [(2100, 4096)])
    limits(300, 300)
    assert descriptors.reserve(1000, 100, each=2) == 100


def test_a_shortage_is_told_from_other_errors() -> None:
    assert descriptors.is_shortage(NONE_LEFT)
    assert not descriptors.is_shortage(OSError(errno.ECONNREFUSED, "no"))
    assert not descriptors.is_shortage(RuntimeError("no"))


def test_asyncio_tells_of_it_once_and_of_the_rest_as_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.new_event_loop()
    descriptors.be_quiet(loop)
    with socket.socket() as sock:
        context: dict[str, Any] = {"message": "no", "exception": NONE_LEFT, "socket": sock}
        for _ in range(500):
            loop.call_exception_handler(context)
        loop.call_exception_handler({"message": "another"})
    loop.close()
    assert caplog.messages == [
        "no connection can be accepted, clients wait: Too many open files",
        "another",
    ]
