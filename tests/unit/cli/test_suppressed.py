"""`lamson suppressed`: who gets no mail any more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lamson.storage import bounced, suppressed
from lamson.storage.suppressed import Suppressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]


def test_they_are_shown_with_reason_and_date(lamson: Lamson, database: Database) -> None:
    assert lamson("suppressed").out == ""
    said = "550 5.1.1 no\x1b[2J such user"
    one = Suppressed("zed@example.com", "", "unknown-user 5.1.1", said, since=86400.0)
    with database.begin() as connection:
        suppressed.add(connection, one)
        suppressed.add(
            connection, Suppressed("ann@example.com", "users.test.com", "complaint", since=90000.0)
        )
    first, second = lamson("suppressed").out.splitlines()
    assert first.startswith("1970-01-02 00:00  zed@example.com  all mail  unknown-user 5.1.1: 550")
    assert "\x1b" not in first
    assert second == "1970-01-02 01:00  ann@example.com  list users.test.com  complaint"
    assert lamson("suppressed", "-list", "users.test.com").out == f"{second}\n"


def test_one_is_added_and_taken_off_again(lamson: Lamson, database: Database) -> None:
    assert lamson("suppressed", "-add", "Zed@Example.com").out == "suppressed: Zed@example.com\n"
    assert lamson("suppressed", "-add", "zed@example.com").out.startswith("suppressed already")
    assert lamson("suppressed", "-add", "zed@example.com", "-list", "Users").status == 0
    assert "zed@example.com  all mail  by hand" in lamson("suppressed").out
    with database.begin() as connection:
        bounced.count(connection, "zed@example.com", is_hard=False, now=1.0, window=1.0)
    done = lamson("suppressed", "-remove", "ZED@example.com", "-list", "users")
    assert done.out == "gets mail again: ZED@example.com\n"
    assert len(lamson("suppressed").out.splitlines()) == 1
    assert lamson("suppressed", "-remove", "zed@example.com").status == 0
    with database.read() as connection:
        assert bounced.of(connection, "zed@example.com") == (0, 0)
    again = lamson("suppressed", "-remove", "zed@example.com")
    assert again.status == os.EX_NOINPUT
    assert "zed@example.com is not suppressed" in again.err


def test_wrong_use(lamson: Lamson, database: Database) -> None:
    assert lamson("suppressed", "-add", "nobody").status == os.EX_USAGE
    assert lamson("suppressed", "-add", "a@b.example", "-remove", "a@b.example").status == 64
