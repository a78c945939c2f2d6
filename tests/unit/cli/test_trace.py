"""`lamson trace`: what it shows of a mail, and what it says where it knows none."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from lamson.storage import journal_rows
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from tests.unit.storage.test_journal_rows import row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

ID, OUT = "4ZxWQk1qg7z3Bq", "4ZxWQk2qg7z3Bq"
NUMBER = 1_700_000_000_123_456_789


@pytest.fixture
def logs(project: Path) -> Path:
    (project / "logs").mkdir()
    (project / "logs/lamson.log").write_text(
        f"2026-11-22T19:20:01.123+00:00 received id={ID} sender=zed@e.example recipients=1\n"
    )
    (project / "mail.log").write_bytes(
        b"2026-11-22T19:20:01.100000+00:00 mx postfix/cleanup[1]: %s: message-id=<\x1b[2J"
        b"\xe2\x80\xae\xff@x>\n"
        b"2026-11-22T19:20:02.100000+00:00 mx postfix/smtpd[1]: %s: client=localhost[127.0.0.1]\n"
        % (ID.encode(), OUT.encode())
    )
    return project


def test_the_logs_alone_tell_a_life_that_no_terminal_obeys(lamson: Lamson, logs: Path) -> None:
    done = lamson("trace", ID, "-log", "mail.log")
    assert done.status == 0, done.err
    first, second = done.out.splitlines()
    assert f"postfix   {ID}     cleanup: message-id=<\\x1b[2J\\u202e\\xff@x>" in first
    assert second.endswith(f"lamson    {ID}     received: sender=zed@e.example recipients=1")


def test_the_database_leads_to_what_came_of_it(
    lamson: Lamson, logs: Path, database: Database
) -> None:
    subject = "Hi\n2026-11-22 19:20:09.000  lamson  forged outcome=x"
    with database.begin() as connection:
        came = row(NUMBER, source=ID, subject=subject, sent=(journal_rows.Sent(NUMBER + 1, ""),))
        left = row(
            NUMBER + 1,
            direction="out",
            source=ID,
            outcome="submitted",
            reply=f"250 queued as {OUT}",
            recipients=("zed@e.example",),
        )
        journal_rows.add(connection, [came, left])
    for asked in (ID, OUT, str(NUMBER), str(NUMBER + 1), "zed@e.example"):
        done = lamson("trace", asked, "-log", "mail.log", "-json")
        assert done.status == 0, done.err
        told = json.loads(done.out)
        assert set(told["ids"]) == {ID, OUT}, asked
        assert [one["where"] for one in told["events"]].count("postfix") == 2
        assert [one["what"] for one in told["events"]].count("journal") == 2
    shown = lamson("trace", ID, "-log", "mail.log").out
    assert len(shown.splitlines()) == 5, "a subject is no line of its own"
    assert '"Hi\\n2026-11-22 19:20:09.000  lamson  forged outcome=x"' in shown


def test_what_waits_is_found_without_a_journal(
    lamson: Lamson, logs: Path, database: Database
) -> None:
    mail = Outgoing(ID, "<7@test>", "", ("joe@e.example",), b"Subject: x\r\n\r\n")
    with database.begin() as connection:
        Outbox(database, "x").insert(connection, [mail])
    for asked in (str(mail.id), "<7@test>", "joe@e.example"):
        done = lamson("trace", asked, "-log", "mail.log")
        assert "outbox: row=" in done.out, (asked, done.err)
        assert "received: sender=zed@e.example" in done.out


def test_what_is_not_known_says_where_it_was_looked_for(lamson: Lamson, logs: Path) -> None:
    done = lamson("trace", "4ZxWQk9qg7z3Bq", "-log", "mail.log", "-log", "nothing.log")
    assert done.status == os.EX_NOINPUT
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[0] == "lamson: nothing is known of 4ZxWQk9qg7z3Bq. Looked at:"
    assert set(lines[1:]) == {
        "  mail.log: read",
        "  nothing.log: there is no such file",
        f"  {logs}/logs/lamson.log: read",
        "  database: none is set",
    }
    told = lamson("trace", "4ZxWQk9qg7z3Bq", "-log", "mail.log", "-json")
    assert (told.status, json.loads(told.out)["events"]) == (os.EX_NOINPUT, [])


@pytest.mark.parametrize("asked", ["", "x", "a\x1bbcd"])
def test_what_is_no_id_is_refused(lamson: Lamson, logs: Path, asked: str) -> None:
    done = lamson("trace", asked)
    assert done.status == os.EX_USAGE
    assert "expected an id" in done.err


def test_a_database_that_is_away_is_told_of(
    lamson: Lamson, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMSON_DATABASE", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    done = lamson("trace", ID, "-log", "mail.log")
    assert done.status == 0
    assert "received:" in done.out
    assert "cannot be read" in done.err


def test_a_journal_of_systemd_is_read_with_its_fields(
    lamson: Lamson, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {
        "__REALTIME_TIMESTAMP": "1795375202123000",
        "LAMSON_LOGGER": "lamson.mail",
        "LAMSON_EVENT": "submitted",
        "LAMSON_ID": ID,
        "LAMSON_REPLY": f"250 queued as {OUT}",
    }
    program = logs / "bin/journalctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho \"$*\" >{logs}/asked\necho '{json.dumps(entry)}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("LAMSON_LOG_FORMAT", "journald")
    done = lamson("trace", ID, "-log", "mail.log", "-unit", "mine")
    assert done.status == 0, done.err
    assert "--unit mine" in (logs / "asked").read_text()
    shown = done.out.splitlines()
    assert f"lamson    {ID}     submitted: reply=" in shown[3]
    assert any(" received: " in line for line in shown), "from before, in the file"
    assert any(OUT in line for line in shown if " postfix " in line)
