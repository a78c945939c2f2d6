"""`lamson schedule`: what runs at which times, and running one now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lamson.storage import tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

MODULE = "handlers_of_the_schedule_tests"


@pytest.fixture
def lamson(project: Path, lamson: Lamson, database: Database) -> Lamson:
    (project / f"{MODULE}.py").write_text(
        "from lamson import every\n\n"
        '@every("1 day", at="06:00")\n'
        "def digest():\n"
        "    with open('digested', 'a') as file:\n"
        "        file.write('x')\n\n"
        '@every(cron="0 6 * * mon-fri")\n'
        "def broken():\n"
        "    raise ValueError('no, not today')\n"
    )
    settings = project / "config" / "settings.py"
    settings.write_text(settings.read_text().replace("handlers_of_the_cli_tests", MODULE))
    return lamson


def test_they_are_listed_and_run_by_hand(lamson: Lamson, project: Path, database: Database) -> None:
    first = lamson("schedule").out.splitlines()
    assert first[0].startswith(f"{MODULE}.digest  1 day at 06:00 UTC  not taken up yet")
    assert first[0].endswith("never ran")
    done = lamson("schedule", "-run", "digest")
    assert done.status == 0, done.err
    assert done.out.startswith(f"{MODULE}.digest: ok in ")
    assert (project / "digested").read_text() == "x"
    failed = lamson("schedule", "-run", f"{MODULE}.broken")
    assert failed.status == 1
    assert failed.out == f"{MODULE}.broken failed: no, not today\n"
    with database.read() as connection:
        assert tasks.waiting(connection) == [], "it is not tried again"
    lines = lamson("schedule").out.splitlines()
    assert ", ok in " in lines[0]
    assert "failed 1 times, last" in lines[1]


def test_one_that_there_is_not(lamson: Lamson) -> None:
    done = lamson("schedule", "-run", "nothing")
    assert done.status == os.EX_USAGE
    assert f"there is no schedule nothing; there are {MODULE}.digest" in done.err
