"""Loading a project: what wins, and one clear line for everything that can be wrong."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pytest

from lamson.errors import SettingsError
from lamson.settings.loading import find_project, load, origins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str], Path]

HEAD = "from lamson.settings import Lmtp, Settings, Submission\n"
PLAIN = HEAD + 'settings = Settings(handlers=["app.handlers.sample"])\n'
SUBMISSION = (
    HEAD
    + "s = Submission(\n  'mail:25',\n  {})\nsettings = Settings(handlers=['a'], submission=s)\n"
)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the settings file of a project, which becomes the current directory."""
    for name in list(os.environ):
        if name.startswith("LAMSON_") or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / "settings.py").write_text(text)
        return tmp_path

    return write


def secret(directory: Path, name: str, content: str, mode: int = 0o600) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(content)
    (directory / name).chmod(mode)


def problem(project: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load(project)
    assert caught.value.exit_code == os.EX_CONFIG
    assert "\n" not in str(caught.value)
    return str(caught.value)


def where(project: Path, key: str) -> str:
    return next(origin.where for origin in origins(project) if origin.key == key)


def test_all_paths_become_absolute(write: Write) -> None:
    project = write(
        HEAD
        + 'settings = Settings(lmtp=Lmtp("unix:run/l.sock"), handlers=["a"],\n'
        + ' database="sqlite:///run/lamson.db?timeout=5",\n'
        + ' submission=Submission("mail:587", ca_file="config/ca.pem"))\n'
    )
    settings = load(project)
    assert settings.lmtp.listen == f"unix:{project}/run/l.sock"
    assert settings.database == f"sqlite:///{project}/run/lamson.db?timeout=5"
    assert settings.templates == [project / "app/templates"]
    assert settings.run_dir == project / "run"
    assert settings.log_file == project / "logs/lamson.log"
    assert settings.submission.ca_file == project / "config/ca.pem"
    assert sys.path[0] == str(project)


@pytest.mark.parametrize(
    "url",
    ["sqlite:////var/lib/x.db", "sqlite:///:memory:", "sqlite://", "postgresql+psycopg://a@b/c"],
)
def test_other_database_urls_stay(write: Write, url: str) -> None:
    project = write(HEAD + f'settings = Settings(handlers=["a"], database="{url}")')
    assert load(project).database == url


def test_the_environment_wins_over_secrets_over_the_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write(
        HEAD
        + "settings = Settings(\n"
        + '    lmtp=Lmtp("127.0.0.1:1", max_size=7),\n'
        + '    handlers=["a"],\n'
        + '    database="sqlite:///one.db",\n'
        + '    route_defaults={"host": "x", "name": "y"},\n'
        + ")\n"
    )
    assert where(project, "lmtp.listen") == "config/settings.py:3"
    assert where(project, "database") == "config/settings.py:5"
    assert where(project, "route_defaults") == "config/settings.py:6"
    assert where(project, "threads") == "default"

    secret(project / "config" / "secrets", "lamson_database", "sqlite:////two.db\n")
    assert load(project).database == "sqlite:////two.db"
    secret(tmp_path / "credentials", "lamson_database", "sqlite:////three.db\n")
    secret(tmp_path / "credentials", "of_another_program", "x", 0o644)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert where(project, "database") == str(tmp_path / "credentials" / "lamson_database")

    monkeypatch.setenv("LAMSON_DATABASE", "sqlite:////four.db")
    monkeypatch.setenv("LAMSON_LMTP__LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("LAMSON_HANDLERS", "b, c.d")
    monkeypatch.setenv("LAMSON_ROUTE_DEFAULTS__HOST", "z")
    monkeypatch.setenv("LAMSON_LOG_FILE", "")
    settings = load(project)
    assert settings.database == "sqlite:////four.db"
    assert (settings.lmtp.listen, settings.lmtp.max_size) == ("127.0.0.1:2", 7)
    assert settings.handlers == ["b", "c.d"]
    assert settings.route_defaults == {"host": "z", "name": "y"}
    assert settings.log_file is None
    assert where(project, "database") == "environment LAMSON_DATABASE"
    assert where(project, "lmtp.listen") == "environment LAMSON_LMTP__LISTEN"

    monkeypatch.setenv("LAMSON_HANDLERS", '["e"]')
    monkeypatch.setenv("LAMSON_ROUTE_DEFAULTS", '{"only": "this"}')
    monkeypatch.setenv("LAMSON_LMTP", '{"max_size": 9}')
    settings = load(project)
    assert settings.handlers == ["e"]
    assert settings.route_defaults == {"only": "this"}
    assert settings.lmtp.max_size == 9
    assert where(project, "lmtp.max_size") == "environment LAMSON_LMTP"


def test_secrets_are_masked(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    project = write(
        HEAD
        + 'settings = Settings(handlers=["a"],\n'
        + '  database="postgresql://zed:hunter2@db/x?password=hunter2&b=c",\n'
        + '  submission=Submission("mail:587", user="u", secret="hunter2"))\n'
    )
    shown = {origin.key: origin.value for origin in origins(project)}
    assert load(project).submission.password() == "hunter2"
    assert shown["database"] == "postgresql://zed:********@db/x?password=********&b=c"
    assert shown["submission.secret"] == "********"
    assert shown["submission.user"] == "u"
    monkeypatch.setenv("LAMSON_SUBMISSION__SECRET", '["hunter2"]')
    monkeypatch.setenv("LAMSON_DATABASE", "hunter2")
    assert "hunter2" not in problem(project)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            HEAD + 'settings = Settings(\n    lmtp=Lmtp("8823"),\n    handlers=["a"],\n)\n',
            "config/settings.py:3: lmtp.listen: expected host:port or unix:path, got '8823'",
        ),
        (
            HEAD + "settings = Settings(\n  lmtp=Lmtp(\n    max_sise=5),\n  handlers=['a'],\n)\n",
            "config/settings.py:4: lmtp.max_sise: unknown key; did you mean max_size?",
        ),
        (
            HEAD + 'settings = Settings(\n  handlers=["a"],\n  databse="sqlite://")\n',
            "config/settings.py:4: databse: unknown key; did you mean database?",
        ),
        (
            HEAD + 'settings = Settings(handlers=["a"], qqqq=1)\n',
            "config/settings.py:2: qqqq: unknown key; expected one of lmtp, submission, ",
        ),
        (
            HEAD + "settings = Settings(handelrs=['a'])\n",
            "config/settings.py:2: handelrs: unknown key; did you mean handlers?",
        ),
        (
            HEAD + "settings = Settings()\n",
            "config/settings.py:2: handlers: required: Modules with handlers, ",
        ),
        (
            HEAD + "settings = Settings(\n  handlers=['a'],\n  threads='many')\n",
            "config/settings.py:4: threads: expected a valid integer, unable to parse string as an "
            "integer, got 'many'",
        ),
        (
            HEAD + "settings = Settings(\n  handlers=['a'],\n  handler_deadline=0)\n",
            "config/settings.py:4: handler_deadline: expected a number greater than 0, got 0",
        ),
        (
            HEAD + "settings = Settings(\n  handlers=['a', 5])\n",
            "config/settings.py:3: handlers[1]: expected a valid string, got 5",
        ),
        (
            HEAD + "settings = Settings(\n  handlers=['a'],\n  lmtp='127.0.0.1:8823')\n",
            "config/settings.py:4: lmtp: expected Lmtp(...), got '127.0.0.1:8823'",
        ),
        (
            SUBMISSION.format("user='u'"),
            "config/settings.py:4: submission.user: expected secret or secret_file beside user",
        ),
        (
            SUBMISSION.format("secret='u'"),
            "config/settings.py:4: submission.secret: expected user beside secret",
        ),
        (
            SUBMISSION.format("user='u', secret='u', secret_file='f'"),
            "config/settings.py:4: submission.secret: expected secret or secret_file, not both",
        ),
        (
            SUBMISSION.format("user='u', secret='u', security='none'"),
            "config/settings.py:4: submission.secret: expected security starttls or tls",
        ),
        (
            HEAD + "s = Submission('mail:25',\n security='clear')\n",
            "config/settings.py:3: submission.security: expected 'none', 'starttls' or 'tls', "
            "got 'clear'",
        ),
        (
            HEAD + "lmtp = Lmtp('unix:" + "x" * 108 + "')\nsettings = Settings(lmtp=lmtp,"
            " handlers=['a'])\n",
            "config/settings.py:2: lmtp.listen: expected a path of at most 107 octets, got /",
        ),
        (
            HEAD + "s = Submission('127.0.0.1:25',\n secret_file='none', user='u')\n"
            "settings = Settings(handlers=['a'], submission=s)\n",
            "/none: cannot read the secret: No such file or directory",
        ),
        (HEAD + "settings = (\n", "config/settings.py:2: syntax error: '(' was never closed"),
        (
            HEAD + "\nsettings = nothing\n",
            "config/settings.py:3: NameError: name 'nothing' is not defined",
        ),
        ("import no_such_module\n", "config/settings.py:1: ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit('set X')\n", "config/settings.py:2: SystemExit: set X"),
        ("x = 1\n", "settings: expected settings = Settings(...), but it is missing"),
        ("settings = {}\n", "settings: expected settings = Settings(...), but it is of type dict"),
    ],
)
def test_a_wrong_file_is_one_clear_line(write: Write, text: str, line: str) -> None:
    assert line in problem(write(text))


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "LAMSON_LMTP__LISTEN",
            "8823",
            "environment LAMSON_LMTP__LISTEN: lmtp.listen: expected host:port or unix:path, "
            "got '8823'",
        ),
        (
            "LAMSON_LMTP__LISTN",
            "127.0.0.1:1",
            "environment LAMSON_LMTP__LISTN: lmtp.listn: unknown key; did you mean listen?",
        ),
        (
            "LAMSON_DATABSE",
            "sqlite://",
            "environment LAMSON_DATABSE: unknown key; did you mean LAMSON_DATABASE?",
        ),
        ("LAMSON_THREADS", "x", "environment LAMSON_THREADS: threads: expected a valid integer"),
        ("LAMSON_ROUTE_DEFAULTS", "x", "environment LAMSON_ROUTE_DEFAULTS: route_defaults: expec"),
        ("LAMSON_LMTP", "{", "environment LAMSON_LMTP: lmtp: expected JSON, or one key by itself"),
    ],
)
def test_a_wrong_variable_is_one_clear_line(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    monkeypatch.setenv(name, value)
    assert problem(write(PLAIN)).startswith(line)


def test_what_a_cluster_puts_into_the_environment_is_no_mistake(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMSON_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("LAMSON_PORT_8823_TCP_ADDR", "10.0.0.1")
    load(write(PLAIN))


def test_a_wrong_secret_file_is_one_clear_line(write: Write) -> None:
    project = write(PLAIN)
    secrets = project / "config" / "secrets"
    secret(secrets, "lamson_submission__secret", "x", 0o644)
    assert "everybody can read this secret" in problem(project)
    secret(secrets, "lamson_submission__secret", "x")
    assert problem(project).endswith("submission.secret: expected user beside secret")
    secret(secrets, "lamson_databse", "x")
    assert "lamson_databse: unknown key; did you mean lamson_database?" in problem(project)


def test_the_project_is_found_from_below(write: Write, tmp_path: Path) -> None:
    project = write(PLAIN)
    below = project / "app" / "handlers"
    below.mkdir(parents=True)
    assert find_project(below) == project
    with pytest.raises(SettingsError, match=re.escape(f"{tmp_path.parent}: no config/settings.py")):
        find_project(tmp_path.parent)


def test_a_directory_that_is_no_project_says_so(tmp_path: Path) -> None:
    assert "no such file" in problem(tmp_path)
