"""Fixtures with a real Postfix: `sink` is the outside world, `make_postfix` starts one in front."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.postfix.instance import PostfixInstance, why_not
from tests.postfix.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def make_postfix(sink: Sink) -> Iterator[Callable[..., PostfixInstance]]:
    """``make_postfix(routes={...}, main={...})`` starts one; its log is shown if the test fails."""
    if reason := why_not():
        pytest.skip(reason)
    with ExitStack() as running:

        def start(**options: Any) -> PostfixInstance:
            options.setdefault("sink_port", sink.port)
            postfix = PostfixInstance(**options)
            running.callback(postfix.close)
            running.callback(lambda: print(postfix.log_text()))
            return postfix.start()

        yield start
