"""lamson.settings.trust; a second user tries it in tests/security/test_private.py."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lamson.errors import LamsonError
from lamson.settings import trust

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("app/templates", "config", "run", "other", "package"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("app/templates/x.txt", "config/settings.py", "more.py", "package/__init__.py"):
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").touch()
    return tmp_path


def check(project: Path) -> None:
    trust.check_settings(project)
    trust.check_code(project)


@pytest.mark.parametrize(
    "name", [".", "config", "config/settings.py", "app", "app/templates", "app/templates/x.txt",
             "more.py", "package", "package/__init__.py"],
)  # fmt: skip
def test_code_that_everybody_can_write_is_not_run(project: Path, name: str) -> None:
    check(project)
    (project / name).chmod(0o777)
    with pytest.raises(LamsonError, match=r"everybody can write to it.*chmod it") as raised:
        check(project)
    assert raised.value.exit_code == os.EX_NOPERM


@pytest.mark.parametrize("name", ["run", "other", "notes.txt"])
def test_data_may_be_anybodys(project: Path, name: str) -> None:
    (project / name).chmod(0o777)
    check(project)


def test_a_link_counts_and_so_does_what_it_leads_to(project: Path) -> None:
    elsewhere = project.parent / "elsewhere.py"
    elsewhere.touch()
    (project / "app/linked.py").symlink_to(elsewhere)
    (project / "app/dangling.py").symlink_to("nowhere")
    check(project)
    elsewhere.chmod(0o666)
    with pytest.raises(LamsonError, match=r"app/linked\.py: everybody can write to it"):
        check(project)


def test_a_project_can_be_declared_safe(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "config/settings.py").chmod(0o666)
    monkeypatch.setenv(trust.SAFE, str(project.parent))
    with pytest.raises(LamsonError):
        check(project)
    monkeypatch.setenv(trust.SAFE, str(project))
    check(project)
