"""lamson.postfix.ours: our maps and our milter, in all the forms that Postfix may be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import ours
from lamson.settings import Milter, Socketmap
from tests.unit.postfix.paper import project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("item", "is_ours"),
    [
        ("socketmap:inet:127.0.0.1:8824:recipient", True),
        ("proxy:socketmap:inet:127.0.0.1:8824:recipient", True),
        ("socketmap:inet:127.0.0.1:8824:domain", False),
        ("regexp:DIRECTORY/recipients", True),
        ("pcre:DIRECTORY/recipients", True),
        ("regexp:DIRECTORY/domains", False),
        ("hash:DIRECTORY/recipients", False),
        ("regexp:/elsewhere/recipients", False),
    ],
)
def test_our_recipients(paper: Callable[..., Paper], item: str, *, is_ours: bool) -> None:
    one = paper()
    assert ours.is_recipients(one.site())(item.replace("DIRECTORY", str(one.directory))) == is_ours


def test_what_postfix_is_to_look_recipients_up_in(paper: Callable[..., Paper]) -> None:
    one = paper()
    assert ours.recipients(one.site()) == "socketmap:inet:127.0.0.1:8824:recipient"
    one.settings = project(socketmap=Socketmap())
    assert ours.recipients(one.site()) == f"regexp:{one.directory}/recipients"


def test_our_milter_as_a_chrooted_smtpd_sees_it(
    paper: Callable[..., Paper], tmp_path: Path
) -> None:
    one = paper()
    one.run("-e", f"queue_directory={tmp_path}")
    one.settings = project(milter=Milter(f"unix:{tmp_path}/lamson/milter", check_recipients=True))
    is_ours = ours.is_milter(one.site())
    for item in (f"unix:{tmp_path}/lamson/milter", "unix:lamson/milter", "unix:/lamson/milter"):
        assert is_ours(item)
    assert not is_ours("unix:/other")
