"""lamson.postfix.checks.copies: mail that comes to us and is not for us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.topics import is_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("copies-come-to-us", ["-e", "always_bcc=x@app.test"]),
        ("copies-come-to-us", ["-e", "recipient_bcc_maps=static:x@app.test"]),
        ("filter-is-us", ["-e", "content_filter=lamson:inet:127.0.0.1:8823"]),
    ],
)
def test_it_is_named(paper: Callable[..., Paper], code: str, broken: list[str]) -> None:
    is_named(paper(), code, broken)
