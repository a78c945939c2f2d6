"""The reference pages say what the code says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamson.cli.group import COMMANDS
from lamson.cli.man import page
from lamson.cli.reference import commands, metrics, settings
from lamson.settings import Lmtp, Settings, Submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Done

PAGES = Path(__file__).parents[3] / "docs" / "reference"


def test_the_page_of_settings_is_up_to_date() -> None:
    assert (PAGES / "settings.md").read_text() == settings()


def test_the_page_of_commands_is_up_to_date() -> None:
    assert (PAGES / "commands.md").read_text() == commands()


def test_the_manual_page_is_up_to_date() -> None:
    assert (PAGES.parent / "man" / "lamson.1").read_text() == page()
    for name in COMMANDS:
        assert f".SS lamson {name}\n" in page()


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_the_manual_page_is_shown_without_a_warning() -> None:
    line = ["groff", "-man", "-Tascii", "-ww"]
    done = subprocess.run(line, input=page(), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    shown = re.sub(".\b", "", done.stdout)
    assert 'eval "$(lamson completion bash)"' in shown
    assert "  lamson requeue 1795376990.M199820P13874Q1.mx\n" in shown


def test_the_page_of_numbers_is_up_to_date() -> None:
    assert (PAGES / "metrics.md").read_text() == metrics()


def test_every_setting_is_described() -> None:
    page = settings()
    for model in (Settings, Lmtp, Submission):
        for name, field in model.model_fields.items():
            assert field.description
            assert f"| `{name}` |" in page


def test_the_command_prints_them(lamson: Callable[..., Done]) -> None:
    assert lamson("config", "--reference").out == settings()
    assert lamson("status", "--reference").out == metrics()
    page = lamson("help", "--reference").out
    assert page == commands()
    for name in COMMANDS:
        assert f"### `lamson {name}`" in page
