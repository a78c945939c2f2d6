"""A second user of the machine, and a place that he may enter."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.security.neighbour import Neighbour

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def street() -> Iterator[Path]:
    """A directory that everybody may enter, for what a neighbour is to find closed.

    pytest's own directories are closed to others, and would be all that holds him.
    """
    path = Path(tempfile.mkdtemp(prefix="lamson-street-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def neighbour(street: Path) -> Neighbour:
    """Another user. Only root can be two users."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to act as another user")
    place = street / "neighbour"
    place.mkdir()
    account = pwd.getpwnam("nobody")
    os.chown(place, account.pw_uid, account.pw_gid)
    return Neighbour(account.pw_name, place)
