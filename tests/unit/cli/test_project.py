"""`lamson gen` and `lamson syncdb`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lamson.cli.project import generate, service_name
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    skeleton = tmp_path / "skeleton"
    (skeleton / "run").mkdir(parents=True)
    (skeleton / "run" / ".gitignore").write_text("*\n")
    (skeleton / "__pycache__").mkdir()
    (skeleton / "__pycache__" / "x.pyc").write_text("")
    (skeleton / "README.md.tmpl").write_text("# ${project}\ncosts $$5\n")
    (skeleton / "verbatim.py").write_text("'${project}'\n")
    return skeleton


def test_generating_fills_in_templates_and_copies_the_rest(tmp_path: Path, skeleton: Path) -> None:
    generate(tmp_path / "mine", skeleton)
    files = {path.relative_to(tmp_path / "mine").as_posix() for path in tmp_path.rglob("mine/**/*")}
    assert files == {"README.md", "verbatim.py", "run", "run/.gitignore"}
    assert (tmp_path / "mine" / "README.md").read_text() == "# mine\ncosts $5\n"
    assert (tmp_path / "mine" / "verbatim.py").read_text() == "'${project}'\n"


def test_a_service_is_named_after_its_project(tmp_path: Path, skeleton: Path) -> None:
    (skeleton / "__service__.service.tmpl").write_text("User=${service}\n")
    generate(tmp_path / "mine", skeleton)
    assert (tmp_path / "mine" / "lamson-mine.service").read_text() == "User=lamson-mine\n"


@pytest.mark.parametrize(
    ("project", "service"),
    [
        ("mymailserver", "lamson-mymailserver"),
        ("My_Mail-2", "lamson-My_Mail-2"),
        ("a" * 24, "lamson-" + "a" * 24),
        ("a" * 25, "lamson-aaaaaaaaaaaaaaaaaaa-2f52"),
        ("lists.example", "lamson-lists-example-9a0b"),
    ],
)
def test_the_name_is_one_that_a_user_can_have(project: str, service: str) -> None:
    assert service_name(project) == service
    assert len(service) <= 31


def test_names_that_are_made_shorter_stay_apart() -> None:
    names = {service_name(name) for name in ("a.b", "a-b", "a" * 25, "a" * 26, "a" * 25 + ".")}
    assert len(names) == 5


def test_files_are_replaced_only_when_forced(tmp_path: Path, skeleton: Path) -> None:
    project = tmp_path / "mine"
    project.mkdir()
    generate(project, skeleton)  # an empty directory will do
    (project / "verbatim.py").write_text("changed")
    (project / "own.py").write_text("own")
    with pytest.raises(LamsonError, match="has files already; -FORCE") as refused:
        generate(project, skeleton)
    assert refused.value.exit_code == os.EX_CANTCREAT
    assert (project / "verbatim.py").read_text() == "changed"
    generate(project, skeleton, force=True)
    assert (project / "verbatim.py").read_text() == "'${project}'\n"
    assert (project / "own.py").read_text() == "own"


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, skeleton: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LamsonError, match=r"file.*: Not a directory|file.*: File exists"):
        generate(tmp_path / "file" / "mine", skeleton)


@pytest.mark.parametrize("force", [[], ["-FORCE"], ["--FORCE"], ["-force"], ["--force"]])
@pytest.mark.parametrize("option", ["-project", "--project"])
def test_gen_in_every_spelling(
    lamson: Lamson, tmp_path: Path, option: str, force: list[str]
) -> None:
    done = lamson("gen", option, "mymailserver", *force)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("made mymailserver; now:\n  cd mymailserver\n")
    assert "README" not in done.out
    assert (tmp_path / "mymailserver" / "config" / "settings.py").is_file()
    again = lamson("gen", option, "mymailserver", *force)
    assert again.status == (0 if force else os.EX_CANTCREAT)


@pytest.mark.parametrize("name", ["", "4x", "a b", "..", "x/", "-x", "ä/ö"])
def test_gen_refuses_a_name_that_is_none(lamson: Lamson, name: str) -> None:
    done = lamson("gen", f"-project={name}")
    if name == "x/":
        assert done.status == os.EX_OK  # as the shell completes it
    else:
        assert done.status == os.EX_USAGE
        assert "is no name for a project" in done.err


def test_syncdb_says_where_a_database_was_named_that_cannot_be(
    lamson: Lamson, project: Path
) -> None:
    settings = project / "config" / "settings.py"
    settings.write_text(
        'from lamson.settings import Settings\nsettings = Settings(handlers=[],\n    database="sqlit:///x")\n'
    )
    done = lamson("syncdb")
    assert done.status == os.EX_CONFIG
    assert done.err == (
        "lamson: config/settings.py:3: database: database 'sqlit:///x' cannot be used:"
        " expected sqlite:///... or postgresql+psycopg://...\n"
    )


def test_syncdb_makes_the_tables_and_then_has_nothing_to_do(
    lamson: Lamson, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = lamson("syncdb")
    assert without.status == os.EX_CONFIG
    assert "database: there is none to create" in without.err
    monkeypatch.setenv("LAMSON_DATABASE", "sqlite:///run/lamson.db")
    done = lamson("syncdb")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("lamson's tables: none -> ")
    assert (project / "run" / "lamson.db").is_file()
    assert lamson("syncdb").out.startswith("lamson's tables are up to date (")
