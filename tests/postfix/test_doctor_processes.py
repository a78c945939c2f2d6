"""How many of Postfix's commands one `lamson postfix check` starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postfix.config import default_of
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

MOST = 20


def count_into(log: Path, directory: Path) -> None:
    """Commands of the same names as Postfix's, each of which writes a line and does the same."""
    directory.mkdir()
    for real in Path(default_of("command_directory") or "/usr/sbin").glob("post*"):
        wrapper = directory / real.name
        wrapper.write_text(f'#!/bin/sh\necho "{real.name} $*" >> {log}\nexec {real} "$@"\n')
        wrapper.chmod(0o755)


def test_a_healthy_postfix_is_read_once(make_stage: Callable[..., Stage], tmp_path: Path) -> None:
    socketmap = free_port()
    stage = make_stage(environment={"LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{socketmap}"})
    etc = stage.postfix.base / "etc"
    stage.lamson.environment |= {
        "LAMSON_POSTFIX__CONFIG_DIRECTORY": str(etc),
        "LAMSON_POSTFIX__SMTPD": f"127.0.0.1:{stage.postfix.smtp_port}",
    }
    stage.lamson.command("postfix", "apply")
    for path in etc.iterdir():
        os.utime(path, (0, 0))  # Postfix waits two seconds before it trusts a file that is new
    stage.postfix.reload()
    wait_for(lambda: listening(socketmap), "the socketmap")

    log = tmp_path / "commands"
    count_into(log, tmp_path / "bin")
    stage.lamson.environment["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    said = wait_for(lambda: checked(stage, log), "smtpd to have read the configuration")
    assert said == "Postfix and this project fit together\n"
    commands = log.read_text().splitlines()
    assert 1 <= len(commands) <= MOST, commands
    assert len(set(commands)) == len(commands), "none is asked twice"


def checked(stage: Stage, log: Path) -> str:
    """What the doctor says once it finds nothing; until then nothing."""
    log.write_text("")
    try:
        return stage.lamson.command("postfix", "check")
    except AssertionError:
        return ""
