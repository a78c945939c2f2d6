"""Waiting until something is true of a container."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_PAUSE = 0.1  # seconds; a look into a container costs about as much


def wait_for(condition: Callable[[], T], what: Callable[[], str], *, timeout: float) -> T:
    """Return the first true value of ``condition()``.

    ``timeout`` is in seconds; raises AssertionError, which says ``what()``, when it is over.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what()}")
        time.sleep(_PAUSE)
    return value
