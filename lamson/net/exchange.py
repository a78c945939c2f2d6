"""One question to a server on a new connection, and its answer: all of it within a time.

For protocols in which a request is written, an answer read, and that is all. A server that sends an
octet a second, or does not stop, is no answer.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ANSWER = 1 << 18  # octets


def exchange(
    host: str, port: int, request: bytes, deadline: float, is_whole: Callable[[bytes], bool]
) -> bytes:
    """What the server answers, up to where it ``is_whole`` or the server has closed.

    ``deadline`` is of `time.monotonic`. Raises OSError; TimeoutError where the time is over, and
    ValueError for more than 256 KiB.
    """
    with socket.create_connection((host, port), timeout=_left(deadline)) as connection:
        view = memoryview(request)
        while view:
            connection.settimeout(_left(deadline))
            view = view[connection.send(view[: 1 << 16]) :]
        answer = bytearray()
        while not is_whole(bytes(answer)):
            connection.settimeout(_left(deadline))
            piece = connection.recv(1 << 16)
            if not piece:
                break
            answer += piece
            if len(answer) > MAX_ANSWER:
                raise ValueError(f"the answer has more than {MAX_ANSWER} octets")
        return bytes(answer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
