"""`lamson outbox`: what waits to be submitted."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]


def commit(database: Database, *recipients: str) -> Outgoing:
    row = Outgoing("4Qz", "<1@test>", "list@test.com", recipients, b"Subject: x\r\n\r\nbody\r\n")
    with database.begin() as connection:
        Outbox(database, "dead", lease=-1.0).insert(connection, [row])
    return row


def test_what_waits_is_listed_and_shown(lamson: Lamson, database: Database) -> None:
    row = commit(database, "zed@example.com")
    assert lamson("outbox", "-count").out == "1\n"
    listed = lamson("outbox").out
    line = rf"{row.id}  \d+s old  <list@test\.com> to zed@example\.com  <1@test>  not tried yet\n"
    assert re.fullmatch(line, listed)
    assert lamson("outbox", "-show", str(row.id)).out == "Subject: x\r\n\r\nbody\r\n"


def test_a_deferred_message_can_be_tried_now(lamson: Lamson, database: Database) -> None:
    commit(database, "zed@example.com")
    outbox = Outbox(database, "relay")
    (row,) = outbox.claim(1)
    row.attempts, row.last_error = 3, "451 4.3.0 busy"
    outbox.defer(row, time.time() + 3600)
    assert outbox.claim(1) == []
    assert "tried 3 times: 451 4.3.0 busy" in lamson("outbox").out
    assert lamson("outbox", "-retry", str(row.id)).out.startswith("1 message(s)")
    assert len(outbox.claim(1)) == 1
    assert lamson("outbox", "-retry", "ALL").out.startswith("0 message(s)")


def test_dropping_asks_first(lamson: Lamson, database: Database) -> None:
    row = commit(database, "zed@example.com")
    no = lamson("outbox", "-drop", str(row.id), given=b"n\n")
    assert no.status == 130
    assert lamson("outbox", "-count").out == "1\n"
    assert lamson("outbox", "-drop", str(row.id), given=b"y\n").status == 0
    assert lamson("outbox", "-count").out == "0\n"


def test_what_is_not_there(lamson: Lamson, database: Database) -> None:
    for option in ("-show", "-drop", "-retry"):
        done = lamson("outbox", option, "17")
        assert done.status == os.EX_NOINPUT
        assert "there is no message 17" in done.err
        assert lamson("outbox", option, str(2**63)).status == os.EX_NOINPUT
    assert lamson("outbox", "-retry", "x").status == os.EX_USAGE
    assert lamson("outbox", "-count", "-list").status == os.EX_USAGE


@pytest.mark.usefixtures("project")
def test_a_project_without_a_database(lamson: Lamson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMSON_DATABASE", "")
    done = lamson("outbox")
    assert done.status == os.EX_CONFIG
    assert "database" in done.err


def test_of_many_recipients_the_first_few_are_shown(lamson: Lamson, database: Database) -> None:
    commit(database, *(f"{number}@example.com" for number in range(40)))
    listed = lamson("outbox").out
    assert " to 40 recipients (0@example.com, 1@example.com, " in listed
    assert "4@example.com, ...)" in listed
    assert "5@example.com" not in listed
    shown = lamson("outbox", "-show", listed.split()[0])
    assert shown.err.startswith("from <")
    assert "to 40 recipient(s):" in shown.err
    assert [line.strip() for line in shown.err.splitlines()[1:]] == [
        f"<{number}@example.com>" for number in range(40)
    ]
    assert "@example.com" not in shown.out


def test_what_waits_for_its_time_is_shown_with_it(lamson: Lamson, database: Database) -> None:
    outbox = Outbox(database, "service")
    row = Outgoing("4Qz", "<1@test>", "l@test.com", ("zed@example.com",), b"Subject: x\r\n\r\n")
    row.due_at = time.time() + 3 * 3600 + 30
    later = Outgoing("4Qz", "<2@test>", "l@test.com", ("zed@example.com",), b"Subject: y\r\n\r\n")
    later.due_at = row.due_at + 86400 * 9
    with database.begin() as connection:
        outbox.insert(connection, [later, row])
    assert lamson("outbox", "-count").out == "0\n"
    first, second = lamson("outbox").out.splitlines()
    when = datetime.fromtimestamp(row.due_at).astimezone().isoformat(" ", "seconds")
    assert first.startswith(f"{row.id}  {when}  <l@test.com> to zed@example.com  <1@test>")
    assert first.endswith("due in 3 h")
    assert second.endswith("due in 9 d")
    assert lamson("outbox", "-show", str(row.id)).out == "Subject: x\r\n\r\n"
    assert lamson("outbox", "-retry", "ALL").out.startswith("0 message(s)")
    assert lamson("outbox", "-drop", str(later.id), "-FORCE").status == 0
    assert lamson("outbox", "-retry", str(row.id)).out.startswith("1 message(s)")
    outbox.call()
    assert [one.message_id for one in outbox.claim(10)] == ["<1@test>"]
