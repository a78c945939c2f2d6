"""docs/explanation/scale.md: each row of a domain that moves is in one database, and whole.

tests/docker/test_cells.py does it with mail; here are all tables, and all their columns.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Boolean, LargeBinary, Text, insert, select

from lamson.storage.database import Database
from lamson.storage.tables import metadata
from tests.docs.blocks import DOCS, blocks, replaced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Column

    from tests.postgres.instance import PostgresInstance

PAGE = "explanation/scale.md"
MOVES, STAYS = "one.example", "two.example"
NUMBERS = {MOVES: 1, STAYS: 2}
TABLES = {name.removeprefix("lamson_"): table for name, table in metadata.tables.items()}
COPIED_WHOLE = {"seen", "seen_before", "redeemed", "outcomes", "suppressed"}
MOVED = {"state", "tasks", "scheduled", "keys", "tracked", "pending", "threads"}
MOVED |= {"thread_participants", "thread_ids", "thread_messages"}
MOVED |= {"list_members", "list_posts", "list_held"}
LEFT = {"outbox", "content", "journal", "journal_content", "answers", "bounced", "pace", "policy"}
LEFT |= {"probes", "schedules"}
OLD_CLOCK, NEW_CLOCK = 1000.0, 400.0  # seconds of service

Row = dict[str, Any]


def value(table: str, column: Column[Any], domain: str) -> object:
    """What no column has by default, and what tells the domain where the page says so."""
    number = NUMBERS[domain]
    texts = {
        "message_id": f"<{number}@{domain}>",
        "sender": f"a@{domain}",
        "recipient": f"a@{domain}",
        "list": f"users@{domain}",
        "kind": "timer",
        "payload": json.dumps({"machine": f"m:{domain}", "author": "zed@world.test"}),
        "thread": f"thread{number}",
    }
    if (table, column.name) == ("threads", "id"):
        return texts["thread"]
    if (table, column.name) == ("state", "module"):
        return f"m:{domain}"
    if isinstance(column.type, Boolean):
        return True
    if isinstance(column.type, LargeBinary):
        return bytes([number]) * (column.type.length or 5)
    if isinstance(column.type, Text):
        return texts.get(column.name, f"{column.name} {number}")
    return number


def filled(database: Database, domain: str) -> dict[str, list[Row]]:
    """Put a row of the domain into each table, and another one where threads have theirs."""
    found = {}
    thread = f"m thread{NUMBERS[domain]}"
    of_thread: dict[str, Row] = {
        "state": {"module": thread, "author": ""},
        "tasks": {
            "id": 10 + NUMBERS[domain],
            "name": thread,
            "payload": json.dumps({"machine": thread, "author": ""}),
        },
    }
    with database.begin() as connection:
        for name, table in TABLES.items():
            if name == "clock":
                continue
            row = {column.name: value(name, column, domain) for column in table.columns}
            found[name] = [row, *([row | of_thread[name]] if name in of_thread else [])]
            connection.execute(insert(table), found[name])
    return found


def moved(name: str, row: Row) -> Row:
    """What such a row is in the other database."""
    row = dict(row)
    if name in ("tasks", "thread_messages"):
        del row["id"]  # nothing refers to it
    for stamp in ("handled_at", "used_at"):
        if stamp in row:
            row[stamp] += NEW_CLOCK - OLD_CLOCK
    if name == "scheduled":
        row |= {"content": row["content"] * 2, "shared": 0, "lease_owner": "", "lease_until": 0}
    return row


def rows(database: Database, name: str) -> list[Row]:
    with database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(TABLES[name]))]


@pytest.fixture
def cells(postgres: PostgresInstance) -> Iterator[list[Database]]:
    names = [postgres.create_database() for _ in range(2)]
    databases = [Database(postgres.url(name)) for name in names]
    for database, seconds in zip(databases, (OLD_CLOCK, NEW_CLOCK), strict=True):
        database.create_all()
        with database.begin() as connection:
            connection.execute(insert(TABLES["clock"]).values(id=1, seconds=seconds))
    yield databases
    for database, name in zip(databases, names, strict=True):
        database.close()
        postgres.drop_database(name)


def typed(database: Database, name: str, **instead: str) -> list[str]:
    """Type a block of the page into psql; gives the lines of the answer."""
    (text,) = [one.text for one in blocks(PAGE) if one.file == name]
    text = replaced(text, instead)
    url = database.engine.url.set(drivername="postgresql").render_as_string()
    command = ["psql", "-XqtA", "-d", url, "-v", "ON_ERROR_STOP=1", "-v", f"domain={MOVES}"]
    command += ["-v", "held=0", "-v", "password=none"]
    command += [] if "COMMIT;" in text else ["--single-transaction", "-f", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.postgres
def test_each_row_of_the_domain_is_in_one_database_and_whole(
    postgres: PostgresInstance, cells: list[Database]
) -> None:
    old, new = cells
    going, staying = filled(old, MOVES), filled(old, STAYS)

    typed(new, "numbers")
    place = {"'db-a'": f"'127.0.0.1', port '{postgres.port}'"}
    typed(new, "connect", **place, **{"dbname 'lamson'": f"dbname '{old.engine.url.database}'"})
    typed(new, "ahead")
    assert typed(old, "begun") == ["1", "0", "1"], "an answer, and a post to a list"
    typed(old, "take")
    typed(new, "copy")
    typed(old, "forget")

    for name in COPIED_WHOLE | MOVED | LEFT:
        is_moved, is_whole = name in MOVED, name in COPIED_WHOLE
        stayed = staying[name] if is_moved else going[name] + staying[name]
        came = going[name] if is_moved else going[name] + staying[name] if is_whole else []
        arrived = [moved(name, row) for row in came]
        there = rows(new, name)
        if name in ("tasks", "thread_messages"):
            for row in there:
                del row["id"]
        assert sorted(rows(old, name), key=repr) == sorted(stayed, key=repr), name
        assert sorted(there, key=repr) == sorted(arrived, key=repr), name


def test_the_page_says_of_every_table_what_is_done_with_it() -> None:
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    table = text.partition("| table `lamson_…`")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", table))
    parts = {name for name in TABLES if name.startswith("thread_")}  # "`threads` and theirs"
    parts |= {"content", "journal_content"}  # of other rows
    assert named & TABLES.keys() == TABLES.keys() - parts
    assert TABLES.keys() - {"clock"} == COPIED_WHOLE | MOVED | LEFT
