"""`lamson syncdb -check` and `-downgrade`: models, migrations and database against each other."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from lamson.cli import begin, syncdb
from lamson.cli.project import SKELETON, generate
from tests.unit.support import connect_timeouts
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]


@pytest.fixture
def generated(lamson: Lamson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project as `lamson gen` makes it, with its tables, where the command is."""
    project = tmp_path / "mine"
    generate(project, SKELETON)
    generate(project, begin.directory(None), force=True)
    for name in ("run", "logs"):
        (project / name).chmod(0o700)
    monkeypatch.chdir(project)
    before = set(sys.modules)
    assert lamson("syncdb").status == 0
    _forget(before)
    yield project
    _forget(before)


def _forget(before: set[str]) -> None:
    """Of the project: each command is a process of its own, but for here."""
    for name in set(sys.modules) - before:
        if name == "app" or name.startswith("app."):
            del sys.modules[name]


def change(project: Path) -> None:
    model = project / "app" / "model.py"
    text = model.read_text().replace("author: Mapped[str] = mapped_column(Text, index=True)", "")
    model.write_text(text + "    owner: Mapped[str] = mapped_column(Text)\n")


def test_what_differs_is_told(lamson: Lamson, generated: Path) -> None:
    done = lamson("syncdb", "-check")
    assert (done.status, done.out) == (
        0,
        "lamson's tables are what the models say\nthe project's tables are what the models say\n",
    )
    assert syncdb.warnings(generated) == []
    for name in [name for name in sys.modules if name.split(".")[0] == "app"]:
        del sys.modules[name]
    change(generated)
    (warning,) = syncdb.warnings(generated)
    assert warning.startswith("the project's tables are not what its models say: ")
    done = lamson("syncdb", "-check")
    assert done.status == 1
    lines = done.out.splitlines()
    assert lines[0] == "lamson's tables are what the models say"
    assert set(lines[1:]) == {
        "the project's tables: add column entry.owner",
        "the project's tables: remove column entry.author",
        "the project's tables: remove index entry.ix_entry_author",
    }


def test_migrations_are_undone(lamson: Lamson, generated: Path) -> None:
    wrong = lamson("syncdb", "-downgrade", "0007", "-FORCE")
    assert wrong.status == os.EX_CONFIG
    assert "0007 is not among the migrations" in wrong.err
    assert "expected base or one of 0001" in wrong.err
    assert lamson("syncdb", "-downgrade", "0007").err == wrong.err, "nobody is asked about it"
    assert lamson("syncdb", "-downgrade", "base", given=b"n\n").status == 130
    done = lamson("syncdb", "-downgrade", "base", "-FORCE")
    assert done.out == "the project's tables: 0001 -> none\n"
    done = lamson("syncdb", "-check")
    assert done.status == 1
    assert "the project's tables: at no migration, and the last is 0001" in done.out
    assert lamson("syncdb").out.endswith("the project's tables: none -> 0001\n")


def test_one_thing_at_a_time(lamson: Lamson) -> None:
    assert lamson("syncdb", "-check", "-downgrade", "base").status == os.EX_USAGE


def test_its_file_is_closed_to_others_from_the_beginning(lamson: Lamson, generated: Path) -> None:
    """So no command says later that it closed what another one of ours had left open."""
    file = generated / "run" / "lamson.db"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "closed to other users" not in lamson("syncdb").err


def test_a_server_has_a_minute_to_answer(
    lamson: Lamson, generated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have just been started, together with all else on a machine; nobody tries again."""
    monkeypatch.setenv("LAMSON_DATABASE", f"postgresql://nobody@127.0.0.1:{free_port()}/x")
    with connect_timeouts() as asked:
        done = lamson("syncdb")
    assert (done.status, set(asked)) == (os.EX_UNAVAILABLE, {("60", "60000")})
    assert "cannot be used" in done.err
