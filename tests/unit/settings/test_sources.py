"""lamson.settings.sources: what each layer has, and where it says that it has it from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lamson.errors import SettingsError
from lamson.settings.sources import environment, secret_files, settings_file

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "from lamson.settings import Lmtp, Settings\n"


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("LAMSON_") or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "config" / "settings.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_a_file_has_what_it_sets_and_no_default(tmp_path: Path) -> None:
    file = write(tmp_path, HEAD + 'settings = Settings(handlers=["a"],\n  lmtp=Lmtp(max_size=7))\n')
    layer = settings_file(file)
    assert layer.values == {"handlers": ["a"], "lmtp": {"max_size": 7}}
    assert layer.where(("handlers",)).endswith("settings.py:2")
    assert layer.where(("lmtp", "max_size")).endswith("settings.py:3")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import sys\nsys.exit('set this')\n", "settings.py:2: SystemExit: set this"),
        ("def f():\n    1 / 0\nf()\n", "settings.py:2: ZeroDivisionError"),
        ("settings = (\n", "settings.py:1: syntax error"),
        ("settings = 7\n", "expected settings = Settings(...), but it is of type int"),
        ("", "expected settings = Settings(...), but it is missing"),
        (HEAD + "settings = Settings(handlers=[], lmtp=Lmtp(\n max_size=0))", ":3: lmtp.max"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_file(write(tmp_path, text))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such file; is .* a project"):
        settings_file(tmp_path / "config" / "settings.py")


def test_an_empty_environment_has_nothing() -> None:
    assert environment().values == {}


def test_the_environment_whole_groups_and_single_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMSON_LMTP", '{"max_size": 9}')
    monkeypatch.setenv("lamson_threads", "3")
    layer = environment()
    assert layer.values["lmtp"] == {"max_size": 9}
    assert layer.values["threads"] == "3"
    assert layer.where(("lmtp", "max_size")) == "environment LAMSON_LMTP"
    assert layer.where(("threads",)) == "environment lamson_threads", "as it is spelt there"
    assert layer.where(("milter", "listen")) == "environment"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LAMSON_HANDLER", "LAMSON_HANDLERS"),
        ("LAMSON_SUBMISION__SERVER", "LAMSON_SUBMISSION__SERVER"),
    ],
)
def test_nearly_a_key_is_a_mistake(monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError) as caught:
        environment()
    assert str(caught.value) == f"environment {name}: unknown key; did you mean {meant}?"


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("LAMSON_LMTP", "127.0.0.1:8823", "LAMSON_LMTP__LISTEN"),
        ("lamson_lmtp", "{", "LAMSON_LMTP__LISTEN"),
        ("LAMSON_SUBMISSION", "127.0.0.1:25", "LAMSON_SUBMISSION__SERVER"),
        ("LAMSON_ANSWERS", "x", "LAMSON_ANSWERS__PER_MAILBOX"),
    ],
)
def test_a_group_that_is_no_json(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, key: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        environment()
    group = name.lower().removeprefix("lamson_")
    problem = f"{group}: expected JSON, or one key by itself, such as {key}"
    assert str(caught.value) == f"environment {name}: {problem}"


def test_a_secret_file_with_json_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "config" / "secrets" / "lamson_submission"
    file.parent.mkdir(parents=True)
    file.write_text("swordfish")
    file.chmod(0o600)
    with pytest.raises(SettingsError) as caught:
        list(secret_files(tmp_path))
    problem = "expected JSON, or one key by itself, such as lamson_submission__server"
    assert str(caught.value) == f"{file}: submission: {problem}"


def test_directories_of_secrets_come_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, credentials = tmp_path / "config" / "secrets", tmp_path / "credentials"
    for directory, value in ((project, "sqlite:///one"), (credentials, "sqlite:///two")):
        directory.mkdir(parents=True)
        file = directory / "lamson_database"
        file.write_text(f"{value}\n")
        file.chmod(0o600)
    (credentials / "of_another_program").write_text("x")
    assert [layer.values["database"] for layer in secret_files(tmp_path)] == ["sqlite:///one"]
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    first, second = secret_files(tmp_path)
    assert (first.values["database"], second.values) == (
        "sqlite:///one",
        {"database": "sqlite:///two"},
    )
    assert second.where(("database",)) == str(credentials / "lamson_database")
    assert second.where(("threads",)) == str(credentials)


def test_a_directory_of_secrets_without_ours_is_no_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(secret_files(tmp_path)) == []
    monkeypatch.setenv("LAMSON_SECRETS_DIR", str(tmp_path / "nowhere"))
    assert list(secret_files(tmp_path)) == []
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAMSON_SECRETS_DIR", str(tmp_path / "file"))
    with pytest.raises(SettingsError, match="file: Not a directory"):
        list(secret_files(tmp_path))


def test_a_secret_that_everybody_can_read_and_one_that_is_misspelt(tmp_path: Path) -> None:
    directory = tmp_path / "config" / "secrets"
    directory.mkdir(parents=True)
    file = directory / "lamson_database"
    file.write_text("x")
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="lamson_database"):
        list(secret_files(tmp_path))
    file.rename(directory / "lamson_databse")
    with pytest.raises(SettingsError, match=r"did you mean lamson_database\?"):
        list(secret_files(tmp_path))
