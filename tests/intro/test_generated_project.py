"""What `lamson gen` makes is short, typed, and at one with itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.intro.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FIVE_MINUTES = 300  # lines


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A prompt in a fresh project."""
    with Shell(tmp_path) as shell:
        shell.enter("lamson gen -project mymailserver && cd mymailserver")
        yield shell


@pytest.mark.slow
@pytest.mark.usefixtures("shell")
def test_the_code_is_clean_and_typed(tmp_path: Path, check: Callable[..., None]) -> None:
    check(tmp_path / "mymailserver", "app", "config", "tests", "migrations")


def test_the_first_migration_makes_what_the_models_say(shell: Shell, tmp_path: Path) -> None:
    assert shell.enter("lamson syncdb").status == 0
    assert shell.enter("lamson syncdb -revise nothing").status == 0
    assert list((tmp_path / "mymailserver" / "migrations" / "versions").glob("*nothing.py")) == []
    assert shell.enter("lamson syncdb").status == 0


def test_it_is_read_in_five_minutes(shell: Shell, tmp_path: Path) -> None:
    made = tmp_path / "mymailserver"
    files = [path for path in made.rglob("*") if path.is_file()]
    files = [path for path in files if made / "systemd" not in path.parents]  # for the operator
    assert sum(len(path.read_text().splitlines()) for path in files) <= FIVE_MINUTES


def test_all_its_directories_are_there(shell: Shell, tmp_path: Path) -> None:
    made = tmp_path / "mymailserver"
    for name in ("run", "logs", "app/templates/mail", "migrations/versions", "tests/handlers"):
        assert (made / name).is_dir(), name
    assert "# mymailserver" in (made / "README.md").read_text()
