"""The locked versions: all that is depended on, with hashes, and nothing of where it came from."""

from __future__ import annotations

import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCK = (ROOT / "requirements.lock").read_text()
DEVELOPMENT = (ROOT / "requirements-dev.lock").read_text()


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        (LOCK, [*PROJECT["dependencies"], *EXTRAS["postgres"]]),
        (DEVELOPMENT, [*PROJECT["dependencies"], *chain(*EXTRAS.values())]),
    ],
    ids=["requirements.lock", "requirements-dev.lock"],
)
def test_what_is_depended_on_is_locked(text: str, requirements: list[str]) -> None:
    locked = pins(text)
    for one in map(Requirement, requirements):
        version = locked.get(canonicalize_name(one.name))
        assert version is not None, f"{one.name} is not locked: make lock"
        assert one.specifier.contains(version, prereleases=True), f"{one}: make lock"


BOTH = pytest.mark.parametrize(
    "text", [LOCK, DEVELOPMENT], ids=["requirements.lock", "requirements-dev.lock"]
)


@BOTH
def test_every_locked_package_has_its_hashes(text: str) -> None:
    entries = re.findall(r"^[\w.-]+==.*\n(?:    .*\n)*", text, re.MULTILINE)
    assert len(entries) == len(pins(text))
    assert all(" --hash=sha256:" in entry for entry in entries)


@BOTH
def test_the_build_is_locked_too(text: str) -> None:
    assert "setuptools" in pins(text), "our own package is built without fetching more"


def made(target: str) -> list[str]:
    """The lines that make would run for it where nothing has been made yet."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_all_that_is_installed_to_test_with_is_compared_with_its_hashes() -> None:
    """By scripts/locked.sh alone; our own package brings nothing along."""
    lines = [line for line in made("test") if "pip install" in line]
    assert len(lines) == 1
    assert {"--no-deps", "--no-build-isolation", "-e"} <= set(lines[0].split())
    chosen = (ROOT / "scripts" / "locked.sh").read_text().splitlines()
    installs = [line for line in chosen if 'pip" install' in line]
    assert len(installs) == 1
    assert {"--require-hashes", "--no-build-isolation"} <= set(installs[0].split())


def chosen(which: str, package: str, tmp_path: Path) -> tuple[int, dict[str, str]]:
    """What scripts/locked.sh gives to a pip that only shows it, and its exit status."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip").write_text('#!/bin/sh\nfor last; do :; done; cat "$last"\n')
    (tmp_path / "bin" / "pip").chmod(0o755)
    done = subprocess.run(
        [ROOT / "scripts" / "locked.sh", tmp_path, which, package],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, pins(done.stdout)


def test_what_is_compiled_can_be_left_out(tmp_path: Path) -> None:
    everything = pins(DEVELOPMENT)
    left = {name: pin for name, pin in everything.items() if name != "pymilter"}
    assert len(left) == len(everything) - 1
    assert chosen("without", "pymilter", tmp_path) == (0, left)


def test_what_is_compiled_can_be_installed_alone(tmp_path: Path) -> None:
    only = {"pymilter": pins(DEVELOPMENT)["pymilter"]}
    assert chosen("only", "pymilter", tmp_path) == (0, only)


def test_a_package_that_is_not_locked_is_named(tmp_path: Path) -> None:
    assert chosen("only", "pymilte", tmp_path) == (65, {})


def test_locking_does_not_look_at_what_was_locked() -> None:
    """Else a bound that was raised above it could not be met, nor the list be made anew."""
    lines = made("lock")
    assert any("pip-compile" in line for line in lines)
    assert not any("locked.sh" in line or "constraint" in line or " -e " in line for line in lines)
    assert all("--upgrade" in line for line in lines if "pip-compile" in line)


def test_both_files_lock_the_same() -> None:
    tested = pins(DEVELOPMENT)
    assert {name: pin for name, pin in pins(LOCK).items() if tested.get(name, pin) != pin} == {}


@BOTH
def test_nobody_is_told_where_the_packages_came_from(text: str) -> None:
    for word in ("://", "--index", "--extra-index", "--find-links", "--trusted-host", " @ "):
        assert word not in text
