"""The command as a whole: help, wrong use, exit statuses, what it costs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from sqlalchemy.exc import OperationalError

from lamson.cli import group
from lamson.cli.group import COMMANDS
from lamson.errors import LamsonError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

HEAVY = {"aiosmtpd", "alembic", "asyncio", "mako", "pydantic", "re2", "smtplib", "sqlalchemy"}


def test_help_names_every_command_with_a_line(lamson: Lamson) -> None:
    done = lamson("help")
    assert (done.status, done.err) == (0, "")
    for name, entry in COMMANDS.items():
        assert f"  {name:14}{entry.summary}\n" in done.out
    assert lamson("--help").out == done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_each_command_with_an_example(lamson: Lamson, name: str) -> None:
    done = lamson("help", "-for", name)
    assert done.status == 0
    assert done.out.startswith(f"Usage: lamson {name}")
    assert "Example:\n" in done.out
    assert lamson("help", "--for", name) == done
    assert lamson("help", name) == done
    assert lamson(name, "--help").status == 0


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (["strat"], "there is no command 'strat'; did you mean start?", "lamson help"),
        (["xyzzy"], "there is no command 'xyzzy'", "lamson help"),
        (["help", "-for", "snd"], "there is no command 'snd'; did you mean send?", "lamson help"),
        (
            ["send", "-prot", "8823"],
            "there is no option -prot; did you mean -port?",
            "lamson help -for send",
        ),
        (["send", "--recipient=x"], "there is no option --recipient", "lamson help -for send"),
        (
            ["send", "-to", "a@b"],
            "Missing option -sender.",
            "lamson help -for send",
        ),
        (["gen", "-project"], "Option '-project' requires an argument.", "lamson help -for gen"),
        (["log", "-port", "x"], "Invalid value for -port", "lamson help -for log"),
        (["postfix"], "Missing command.", "lamson help -for postfix"),
        (
            ["stop", "-timeout", "nan"],
            "Invalid value for -timeout: 'nan' is not a valid number",
            "lamson help -for stop",
        ),
        (
            ["status", "-late", "inf"],
            "Invalid value for -late: 'inf' is not a valid number",
            "lamson help -for status",
        ),
        (
            ["status", "surplus"],
            "Got unexpected extra argument (surplus)",
            "lamson help -for status",
        ),
    ],
)
def test_wrong_use_gets_a_hint(
    lamson: Lamson, arguments: list[str], problem: str, hint: str
) -> None:
    done = lamson(*arguments)
    assert done.status == os.EX_USAGE
    assert done.out == ""
    assert done.err.startswith(f"lamson: {problem}")
    assert done.err.endswith(f"\nTry: {hint}\n")


def test_help_explains_a_command_of_a_command(lamson: Lamson) -> None:
    done = lamson("help", "-for", "postfix plan")
    assert done.status == 0
    assert done.out.startswith("Usage: lamson postfix plan [OPTIONS]\n")
    for name in ("postfix nothing", "send plan"):
        done = lamson("help", "-for", name)
        first, second = name.split()
        assert done.status == os.EX_USAGE
        assert done.err.startswith(f"lamson: lamson {first} has no command {second!r}\n")


def test_no_command_at_all_is_wrong_use(lamson: Lamson) -> None:
    done = lamson()
    assert done.status == os.EX_USAGE
    assert "Usage: lamson COMMAND" in done.err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (SettingsError("config/settings.py:3: x"), os.EX_CONFIG, "lamson: config/settings.py:3: x"),
        (UnavailableError("no"), os.EX_UNAVAILABLE, "lamson: no"),
        (LamsonError("odd"), os.EX_SOFTWARE, "lamson: odd"),
        (KeyboardInterrupt(), 130, "lamson: interrupted"),
        (PermissionError(13, "Permission denied", "run"), os.EX_NOPERM, "lamson: run: Permission"),
        (
            OperationalError("SELECT 1", {}, sqlite3.OperationalError("disk I/O error")),
            os.EX_UNAVAILABLE,
            "lamson: the database cannot be used: disk I/O error",
        ),
        (click.FileError("a", "gone"), 1, "lamson: Could not open file 'a': gone"),
    ],
)
def test_what_can_be_foreseen_is_one_line(
    lamson: Lamson,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
    line: str,
) -> None:
    @click.command("version")
    def failing() -> None:
        raise error

    monkeypatch.setattr(group.Group, "get_command", lambda *arguments: failing)
    done = lamson("version")
    assert done.status == status
    assert done.err.strip().startswith(line)
    assert done.err.strip().count("\n") == 0


def test_version(lamson: Lamson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.2.3")
    assert lamson("version").out == "lamson 1.2.3\n"
    assert lamson("--version").out == "lamson 1.2.3\n"

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    assert lamson("version").out == "lamson, run from its source without being installed\n"


@pytest.mark.parametrize("arguments", [["help"], ["help", "-for", "send"], ["version", "-h"]])
def test_a_command_imports_only_what_it_needs(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from lamson.cli import run\n"
        f"assert run({arguments!r}) == 0\n"
        "print(*(name for name in sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert not HEAVY & set(done.stderr.split())


def test_a_reader_that_leaves_early_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m lamson help | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode in (0, 1)
    assert done.stderr == b""
