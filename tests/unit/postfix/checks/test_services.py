"""lamson.postfix.checks.services: what master.cf has to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.topics import OWN, WORLDS, is_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("service-is-missing", ["-MX", "bounce/unix"]),
        ("service-is-missing", ["-M", "25/inet=25 inet n - n - 1 postscreen"]),
        ("no-such-transport", ["-e", "content_filter=scan:[127.0.0.1]:10025"]),
        ("no-such-transport", ["-P", f"{WORLDS}/content_filter=scan:x"]),
        ("service-is-disabled", ["-e", "master_service_disable=inet"]),
        ("service-is-disabled", ["-e", f"master_service_disable={OWN}"]),
    ],
)
def test_it_is_named(paper: Callable[..., Paper], code: str, broken: list[str]) -> None:
    is_named(paper(), code, broken)
