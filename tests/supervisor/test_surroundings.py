"""What the real `lamson start` makes of its surroundings: variables, systemd's and others'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.service import LamsonService

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SETTINGS = """
from lamson.settings import Settings

settings = Settings(handlers=[], metadata=None)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(SETTINGS)
    return tmp_path


def test_a_misspelt_variable_is_named(project: Path) -> None:
    name, value = "LAMSON_SUBMISSION_SECRET", "s3cret-of-the-relay"
    with LamsonService(project, **{name: value}) as service:
        (line,) = service.log_lines("WARNING", name)
        assert line.endswith("; did you mean LAMSON_SUBMISSION__SECRET?")
        assert value not in service.output() + "".join(service.log_lines())
