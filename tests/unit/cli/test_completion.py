"""`lamson completion`: what a shell is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

    Ask = Callable[[str], list[str]]


@pytest.fixture
def ask(
    lamson: Lamson, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Ask:
    """What there is for the last word of a line, as bash is told."""

    def ask(line: str) -> list[str]:
        monkeypatch.setenv("_LAMSON_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        with pytest.raises(SystemExit):
            lamson()
        return capsysbinary.readouterr().out.decode().split()

    return ask


def test_commands_options_and_paths(ask: Ask) -> None:
    assert ask("lamson se") == ["plain,send", "plain,sendmail"]
    assert ask("lamson postfix ma") == ["plain,maps"]
    assert ask("lamson gen -") == ["plain,-project", "plain,-from", "plain,-FORCE", "plain,-milter"]
    assert ask("lamson gen --pro") == ["plain,--project"]
    assert ask("lamson send -att") == ["plain,-attach"]
    assert ask("lamson send -attach ./x") == ["file,./x"]
    assert ask("lamson log -queue r") == ["dir,r"]
    assert ask("lamson completion ") == ["plain,bash", "plain,zsh", "plain,fish"]
    assert ask("lamson help -for rest") == ["plain,restart"]
    assert ask("lamson tasks -kind ti") == ["plain,timer"]


def test_what_a_shell_reads(lamson: Lamson) -> None:
    for shell, begins in (
        ("bash", "_lamson_completion() {"),
        ("zsh", "#compdef lamson\n"),
        ("fish", "function _lamson_completion;"),
    ):
        assert lamson("completion", shell).out.strip().startswith(begins)
    assert lamson("completion", "tcsh").status == os.EX_USAGE


def test_bash_completes(tmp_path: Path, lamson: Lamson) -> None:
    script = tmp_path / "lamson.bash"
    script.write_text(lamson("completion", "bash").out)
    line = (
        f". {script}; COMP_WORDS=(lamson requ); COMP_CWORD=1; _lamson_completion lamson;"
        ' echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", line],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": path, "HOME": str(tmp_path)},
    )
    assert done.stdout == "requeue\n"
