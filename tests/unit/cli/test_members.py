"""`lamson import -members`: who is on a list, from a table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.orm import Session

from lamson.lists import MailingList

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

USERS = MailingList("users@test.com")
GIVEN = ("import", "-input", "members.csv", "-members", "Users@test.com")


def members(database: Database) -> list[tuple[str, str, str, bool, bool]]:
    with database.read() as connection, Session(connection) as db:
        return [
            (one.address, one.status, one.mode, one.is_owner, one.is_moderator)
            for one in USERS.members(db)
        ]


def test_those_of_a_table_are_put_on_the_list(
    lamson: Lamson, project: Path, database: Database
) -> None:
    (project / "members.csv").write_bytes(
        b"\xef\xbb\xbfEmail,Name,Status,owner,mode\r\n"
        b'Zed@example.com,"Zed, the first",,YES,\r\n'
        b"\r\n"
        b"ann@example.com,,paused,no,Digest\r\n"
        b"zed@EXAMPLE.com,again,disabled,,\r\n"
        b"s\xc3\xb6ren@example.com\r\n"
    )
    done = lamson(*GIVEN)
    assert (done.status, done.out) == (0, "3 put on Users@test.com, 1 on it already\n")
    assert done.err.splitlines()[0] == (
        "not taken: name; known are address, status, mode, owner, moderator"
    )
    assert members(database) == [
        ("Zed@example.com", "active", "mail", True, False),
        ("ann@example.com", "paused", "digest", False, False),
        ("sören@example.com", "active", "mail", False, False),
    ]
    assert lamson(*GIVEN).out == "0 put on Users@test.com, 4 on it already\n"


def test_addresses_alone_are_a_table(lamson: Lamson, project: Path, database: Database) -> None:
    (project / "members.csv").write_text("zed@example.com\nann@example.com\n")
    assert lamson(*GIVEN).status == 0
    assert [one[0] for one in members(database)] == ["zed@example.com", "ann@example.com"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"zed@example.com\nnobody\n", "members.csv:2: "),
        (b"address,status\nzed@example.com,gone\n", "status: 'gone': expected one of active"),
        (
            b"address,owner\nzed@example.com,\x1bperhaps\n",
            "owner: '\\x1bperhaps': expected one of yes",
        ),
        (b"owner,address\nyes\n", "members.csv:2: "),
        (b"zed@example.com\n\xff\n", "no table: "),
        (b"zed@example.com\n" + b"x" * 200_000, "no table: "),
    ],
)
def test_where_a_line_is_wrong_nobody_is(
    lamson: Lamson, project: Path, database: Database, content: bytes, problem: str
) -> None:
    (project / "members.csv").write_bytes(content)
    done = lamson(*GIVEN)
    assert done.status == os.EX_DATAERR
    assert problem in done.err
    assert members(database) == []


def test_wrong_use(lamson: Lamson, project: Path, database: Database) -> None:
    assert lamson(*GIVEN).status == os.EX_NOINPUT
    assert lamson(*GIVEN, "-to", "x@test.com").status == os.EX_USAGE
    assert lamson(*GIVEN[:-1], "a+b@test.com").status == os.EX_USAGE
