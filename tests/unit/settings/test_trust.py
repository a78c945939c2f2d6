"""lamson.settings.trust; a second user tries it in tests/security/test_private.py."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lamson.errors import LamsonError
from lamson.settings import loading, trust


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("app/templates", "config", "run", "other", "package"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("app/templates/x.txt", "config/settings.py", "more.py", "package/__init__.py"):
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").touch()
    return tmp_path


def check(project: Path) -> None:
    trust.check_code(project)


@pytest.mark.parametrize(
    "name", [".", "config", "config/settings.py", "app", "app/templates", "app/templates/x.txt",
             "more.py", "package", "package/__init__.py"],
)  # fmt: skip
def test_code_that_everybody_can_write_is_not_run(project: Path, name: str) -> None:
    check(project)
    (project / name).chmod(0o777)
    with pytest.raises(
        LamsonError, match=r"everybody can write to it.*chmod (-R )?go-w "
    ) as raised:
        check(project)
    assert raised.value.exit_code == os.EX_NOPERM


@pytest.mark.parametrize("name", ["run", "other", "notes.txt"])
def test_data_may_be_anybodys(project: Path, name: str) -> None:
    (project / name).chmod(0o777)
    check(project)


def test_what_is_closed_to_us_is_no_code(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever uses it says whose it is, and what to do; here it would be called a wrong setting."""
    look = Path.exists

    def exists(path: Path) -> bool:
        if path.parent == project / "run":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(Path, "exists", exists)
    check(project)


def test_what_the_settings_name_is_code(project: Path) -> None:
    """Python imports a package without __init__.py as well; a template is Python."""
    (project / "other/mail.py").touch()
    (project / "texts").mkdir()
    text = (
        "from lamson.settings import Settings\n"
        "settings = Settings(handlers=['other.mail'], templates=['texts'])\n"
    )
    (project / "config/settings.py").write_text(text)
    loading.load(project)
    for name in ("other", "other/mail.py", "texts"):
        (project / name).chmod(0o777)
        with pytest.raises(LamsonError, match=f"/{name}: everybody can write to it"):
            loading.load(project)
        (project / name).chmod(0o755)


def test_a_project_that_everybody_can_exchange_is_not_run(project: Path) -> None:
    (project / "config/settings.py").rename(project / "settings")
    inner = project / "open/inner"
    (inner / "config").mkdir(parents=True)
    (project / "settings").rename(inner / "config/settings.py")
    check(inner)
    inner.parent.chmod(0o1777)  # as /tmp: nobody can rename what is another's
    check(inner)
    inner.parent.chmod(0o777)
    with pytest.raises(LamsonError, match=r"/open: everybody can write to it.*inner is not run"):
        check(inner)


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


@pytest.mark.parametrize("written", ["{project}/", "{project}/app/..", "{link}"])
def test_a_safe_project_may_be_named_by_any_path(
    project: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    (project / "config/settings.py").chmod(0o666)
    link = project / "link"
    link.symlink_to(project)
    monkeypatch.setenv(trust.SAFE, written.format(project=project, link=link))
    check(project)
    monkeypatch.chdir(project)
    monkeypatch.setenv(trust.SAFE, ".")
    with pytest.raises(LamsonError):
        check(project)


def test_what_is_said_mends_all_of_it_at_once_and_nothing_else(project: Path) -> None:
    """A checkout by umask 0 has hundreds of files; a socket must stay open to its group."""
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    (project / "app/linked").symlink_to(elsewhere)
    for path in (project, *project.rglob("*"), elsewhere):
        path.chmod(0o777)
    with pytest.raises(LamsonError) as raised:
        check(project)
    command = str(raised.value).partition("chmod it: ")[2]
    subprocess.run(command, shell=True, check=True)
    check(project)
    assert (project / "run").stat().st_mode & 0o777 == 0o777


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
def test_root_is_told_how_to_take_the_code_alone(
    project: Path,
) -> None:
    """To give root all of it would take run/ from the service."""
    for path in (project, *project.rglob("*")):
        os.chown(path, 12345, 12346)
    with pytest.raises(LamsonError) as raised:
        check(project)
    said = str(raised.value)
    assert "setpriv --reuid=12345 --regid=12346 --clear-groups -- lamson ..." in said
    subprocess.run(said.partition("if you trust it: ")[2], shell=True, check=True)
    check(project)
    assert (project / "run").stat().st_uid == 12345


def test_the_loader_asks_unless_it_is_told(project: Path) -> None:
    text = "from lamson.settings import Settings\nsettings = Settings(handlers=['a'])\n"
    (project / "config/settings.py").write_text(text)
    (project / "app/linked.py").touch()
    (project / "app/linked.py").chmod(0o666)
    assert loading.find_project(project / "app") == project, "its settings are ours"
    for load in (loading.load, loading.origins):
        with pytest.raises(LamsonError, match="app/linked"):
            load(project)
    assert loading.load(project, is_trusted=True).handlers == ["a"], "as pytest has run it"
    (project / "config").chmod(0o777)
    with pytest.raises(LamsonError, match="/config: everybody"):
        loading.find_project(project / "app")
    assert loading.find_project(project / "app", is_trusted=True) == project
