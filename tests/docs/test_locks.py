"""The locked versions: all that is depended on, with hashes, and nothing of where it came from."""

from __future__ import annotations

import re
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
CONSTRAINTS = (ROOT / "constraints.txt").read_text()


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        (LOCK, [*PROJECT["dependencies"], *EXTRAS["postgres"]]),
        (CONSTRAINTS, [*PROJECT["dependencies"], *chain(*EXTRAS.values())]),
    ],
    ids=["requirements.lock", "constraints.txt"],
)
def test_what_is_depended_on_is_locked(text: str, requirements: list[str]) -> None:
    locked = pins(text)
    for one in map(Requirement, requirements):
        version = locked.get(canonicalize_name(one.name))
        assert version is not None, f"{one.name} is not locked: make lock"
        assert one.specifier.contains(version, prereleases=True), f"{one}: make lock"


def test_every_locked_package_has_its_hashes() -> None:
    entries = re.findall(r"^[\w.-]+==.*\n(?:    .*\n)*", LOCK, re.MULTILINE)
    assert len(entries) == len(pins(LOCK))
    assert all(" --hash=sha256:" in entry for entry in entries)


def test_the_build_is_locked_too() -> None:
    assert "setuptools" in pins(LOCK), "the image builds our wheel without fetching more"


def test_both_files_lock_the_same() -> None:
    tested = pins(CONSTRAINTS)
    assert {name: pin for name, pin in pins(LOCK).items() if tested.get(name, pin) != pin} == {}


@pytest.mark.parametrize("text", [LOCK, CONSTRAINTS], ids=["requirements.lock", "constraints.txt"])
def test_nobody_is_told_where_the_packages_came_from(text: str) -> None:
    for word in ("://", "--index", "--extra-index", "--find-links", "--trusted-host", " @ "):
        assert word not in text
