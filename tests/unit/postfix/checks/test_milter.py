"""lamson.postfix.checks.milter: our filters are asked, and mail waits while they are down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.settings import Milter
from tests.unit.postfix.checks.broken import is_named_and_mended
from tests.unit.postfix.paper import WORLD, project

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.settings.model import Settings
    from tests.unit.postfix.paper import Paper


def filtering() -> Settings:
    return project(milter=Milter("127.0.0.1:8825", check_recipients=True))


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (["-e", "milter_default_action=accept"], "milter_default_action"),
        (["-P", f"{WORLD}/inet/milter_default_action=accept"], "milter-default-action"),
        (["-P", f"{WORLD}/inet/smtpd_milters="], "milter-switched-off"),
        (["-P", f"{WORLD}/inet/smtpd_milters=inet:127.0.0.1:1"], "milter-switched-off"),
        (
            ["-e", "smtpd_milters={ inet:127.0.0.1:8825, default_action = accept }, inet:x:1"],
            "milter-default-action",
        ),
    ],
)
def test_it_is_named_and_its_cure_mends_it(
    paper: Callable[..., Paper], broken: list[str], code: str
) -> None:
    one = paper(filtering())
    assert one.value("smtpd_milters") == "inet:127.0.0.1:8825"
    is_named_and_mended(one, code, broken)


def test_our_milter_with_options_and_beside_others(paper: Callable[..., Paper]) -> None:
    one = paper(filtering())
    one.run("-e", "smtpd_milters={ inet:127.0.0.1:8825, connect_timeout=5s }, inet:x:1")
    one.run("-e", "milter_default_action=shutdown")
    assert one.findings() == []
    assert one.changes() == []
