"""lamson.postfix.checks.content: checks of headers and bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.topics import is_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper

CHECKS = "lamson/unix/lmtp_header_checks"


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("mail-is-held", ["-e", "body_checks=static:HOLD"]),
        ("mail-is-discarded", ["-e", "header_checks=regexp:{{/^Subject:/ DISCARD}}"]),
        ("header-is-changed", ["-e", "smtp_header_checks=regexp:{{/^From:.*app/ IGNORE}}"]),
        (
            "header-is-changed",
            ["-P", CHECKS + "=regexp:{{/^Message-ID:/ IGNORE}}"],
        ),
    ],
)
def test_it_is_named(paper: Callable[..., Paper], code: str, broken: list[str]) -> None:
    is_named(paper(), code, broken)
