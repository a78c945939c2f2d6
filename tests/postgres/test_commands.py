"""`lamson state` and `lamson syncdb` on PostgreSQL: what is there, and what they make of it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from lamson.cli.project import gen_command
from lamson.storage.database import Database
from lamson.storage.state import SqlStateStore, StateKey
from tests.unit.cli.conftest import lamson  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

pytestmark = pytest.mark.postgres


@pytest.fixture
def generated(
    lamson: Lamson,  # noqa: F811
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A project as `lamson gen` makes it, with its tables on PostgreSQL, where the command is."""
    project = tmp_path / "mine"
    gen_command.main(["-project", str(project)], standalone_mode=False)
    monkeypatch.chdir(project)
    monkeypatch.setenv("LAMSON_DATABASE", postgres_url)
    before = set(sys.modules)
    assert lamson("syncdb").status == 0
    yield project
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "app":
            del sys.modules[name]


def test_tables_are_compared_and_migrations_undone(
    lamson: Lamson,  # noqa: F811
    generated: Path,
    postgres_url: str,
) -> None:
    alike = (
        "lamson's tables are what the models say\nthe project's tables are what the models say\n"
    )
    assert (lamson("syncdb", "-check").status, lamson("syncdb", "-check").out) == (0, alike)
    database = Database(postgres_url)
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE entry ADD COLUMN owner text"))
        connection.execute(text("ALTER TABLE lamson_state DROP COLUMN state"))
    done = lamson("syncdb", "-check")
    assert done.status == 1
    assert done.out.splitlines() == [
        "lamson's tables: add column lamson_state.state",
        "the project's tables: remove column entry.owner",
    ]
    done = lamson("syncdb", "-downgrade", "base", "-FORCE")
    assert done.out == "the project's tables: 0001 -> none\n", done.err
    with database.read() as connection:
        assert connection.scalar(text("SELECT to_regclass('entry')")) is None
        assert connection.scalar(text("SELECT to_regclass('lamson_outbox')")) is not None
    database.close()


@pytest.mark.usefixtures("generated")
def test_a_state_is_shown_and_changed(
    lamson: Lamson,  # noqa: F811
    postgres_url: str,
) -> None:
    database = Database(postgres_url)
    key = StateKey.make("app.handlers.sample", "zed@example.com")
    with database.begin() as connection:
        SqlStateStore(connection).save({key: "SIGNING"})
    assert (
        lamson("state", "ZED@example.com").out == "zed@example.com  app.handlers.sample  SIGNING\n"
    )
    wrong = lamson("state", "zed@example.com", "-set", "NOWHERE")
    assert wrong.status == os.EX_USAGE
    done = lamson("state", "zed@example.com", "-reset")
    assert done.out == "zed@example.com in app.handlers.sample: SIGNING -> START\n", done.err
    done = lamson("state", "zed@example.com", "-set", "SIGNING", "-module", "app.handlers.sample")
    assert "START -> SIGNING" in done.out + done.err
    database.close()
