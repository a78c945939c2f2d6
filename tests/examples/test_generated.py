"""`lamson gen -from NAME`: a project of one's own, called as one likes, whose tests are green."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import pytest

from lamson.cli import begin
from lamson.cli.project import gen_command
from tests.examples.projects import NAMES, PLUGINS, generate
from tests.intro.shell import Shell
from tests.postfix.instance import why_not

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", [begin.EMPTY, *NAMES])
def test_it_is_a_project(name: str, tmp_path: Path) -> None:
    made = generate(name, tmp_path / "my.own")
    assert (made / "README.md").read_text().startswith("# my.own\n")
    for room in ("run", "logs", "app/templates/mail", "migrations/versions", "systemd"):
        assert (made / room).is_dir(), room


@pytest.mark.slow
@pytest.mark.parametrize("name", [begin.EMPTY, *NAMES])
def test_it_works(name: str, tmp_path: Path) -> None:
    if name != begin.EMPTY and not why_not():
        pytest.skip("its tests are run behind a Postfix, in test_through_postfix.py")
    made = generate(name, tmp_path / "my.own")
    with Shell(made) as shell:
        for line in (
            *(f"export {name}='{value}'" for name, value in PLUGINS.items()),
            "pytest -q -W error -p no:cacheprovider",
            "lamson syncdb",
            "lamson syncdb -revise nothing",
        ):
            status, output = shell.enter(line)
            assert status == 0, f"$ {line}\n{output}"
    assert "the database has all that the models say" in output


def test_without_a_name_it_is_the_sample(tmp_path: Path) -> None:
    gen_command.main(["-project", str(tmp_path / "mine")], standalone_mode=False)
    assert (tmp_path / "mine/app/handlers/sample.py").is_file()


def test_an_empty_one_has_no_handler(tmp_path: Path) -> None:
    made = generate(begin.EMPTY, tmp_path / "mine")
    assert [one.name for one in (made / "app/handlers").iterdir()] == ["__init__.py"]


def test_with_a_filter_as_well(tmp_path: Path) -> None:
    arguments = ["-from", NAMES[0], "-milter", "-project", str(tmp_path / "mine")]
    gen_command.main(arguments, standalone_mode=False)
    settings = (tmp_path / "mine/config/settings.py").read_text()
    assert f'handlers=["app.handlers.{NAMES[0]}"],\n    # What the milter asks' in settings


def test_a_name_that_is_none_is_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter) as refused:
        generate("hepldesk", tmp_path / "mine")
    assert f"there is no 'hepldesk'; there are {', '.join(begin.names())}" in str(refused.value)
    assert refused.value.exit_code != os.EX_OK
    assert not (tmp_path / "mine").exists()


def test_what_a_run_of_the_example_left_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = tmp_path / "examples" / "used"
    for file in ("config/settings.py", "run/lamson.db", "logs/lamson.log", "app/x.py", "README.md"):
        (example / file).parent.mkdir(parents=True, exist_ok=True)
        (example / file).write_text("# used\n")
    monkeypatch.setattr(begin, "EXAMPLES", tmp_path / "examples")
    made = generate("used", tmp_path / "mine")
    assert (made / "app/x.py").is_file()
    assert [one.name for room in ("run", "logs") for one in (made / room).iterdir()] == [
        ".gitignore",
        ".gitignore",
    ]
