"""`lamson forget`: what it says and does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lamson.storage import journal_rows
from tests.unit.storage.test_journal_rows import ids, row, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]


def test_a_correspondent_is_looked_at_and_then_forgotten(
    lamson: Lamson, database: Database
) -> None:
    write(database, row(1), row(2, correspondent="ann@e.example"))
    shown = lamson("forget", "ZED@e.example", "-dry-run")
    assert shown.status == 0, shown.err
    assert "would be erased: journal: 1\n" in shown.out
    assert "not touched: the application's own tables" in shown.out
    assert ids(database) == [2, 1]
    refused = lamson("forget", "zed@e.example", given=b"n\n")
    assert refused.status == 130
    assert refused.err == "lamson: nothing was done\n"
    nobody = lamson("forget", "zed@e.example", given=b"")
    assert nobody.status == 130
    assert "with -FORCE nobody is asked" in nobody.err
    assert ids(database) == [2, 1]
    done = lamson("forget", "zed@e.example", given=b"y\n")
    assert "erased: journal: 1\n" in done.out.replace("is to be erased", "")
    assert ids(database) == [2]
    again = lamson("forget", "zed@e.example", "-FORCE")
    assert again.status == os.EX_NOINPUT
    assert again.err == "lamson: nothing is kept of zed@e.example\n"
    with database.read() as connection:
        assert len(journal_rows.page(connection)) == 1


def test_nothing_of_it_stays_in_the_file_of_the_database(
    lamson: Lamson, database: Database, project: Path
) -> None:
    write(database, *(row(id, subject="what he wrote", content=b"secret " * 500) for id in (1, 2)))
    assert lamson("forget", "zed@e.example", "-FORCE").status == 0
    for file in (project / "run").glob("outbox.db*"):
        octets = file.read_bytes()
        assert not any(one in octets for one in (b"zed@e", b"what he wrote", b"secret")), file


def test_what_is_no_address_is_refused(lamson: Lamson, database: Database) -> None:
    assert lamson("forget", "nobody").status == os.EX_USAGE


def test_without_a_database_nothing_is_kept(lamson: Lamson, project: object) -> None:
    done = lamson("forget", "zed@e.example")
    assert done.status == os.EX_CONFIG
    assert "nothing is kept" in done.err
