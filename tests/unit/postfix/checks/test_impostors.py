"""lamson.postfix.checks.impostors: who may say that he is somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.topics import WORLDS, is_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("anybody-is-believed", ["-e", "smtpd_authorized_xclient_hosts=0.0.0.0/0"]),
        ("anybody-is-believed", ["-P", f"{WORLDS}/smtpd_authorized_xforward_hosts=static:all"]),
        ("untrusted-routing", ["-e", "allow_untrusted_routing=yes"]),
    ],
)
def test_it_is_named(paper: Callable[..., Paper], code: str, broken: list[str]) -> None:
    is_named(paper(), code, broken)
