"""Configurations on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.paper import Paper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.settings.model import Settings


@pytest.fixture
def paper(tmp_path: Path) -> Callable[..., Paper]:
    """Makes configurations in which everything is well."""

    def make(settings: Settings | None = None) -> Paper:
        return Paper(tmp_path / "tables", settings)

    return make
