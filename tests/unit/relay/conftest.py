"""The relay of a test."""

from pathlib import Path

import pytest

from lamson.storage.database import Database
from tests.unit.relay.rig import Rig


@pytest.fixture
def rig(database: Database, tmp_path: Path) -> Rig:
    return Rig(database, tmp_path)
