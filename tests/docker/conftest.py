"""The counting project in containers, one system for all stories, which leave it whole."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.containers import MailSystem

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".containers"
LIMIT = 1200  # seconds; images may have to be made first, on a busy machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and "mailsystem" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(LIMIT))


@pytest.fixture(scope="session")
def mailsystem_options() -> dict[str, Any]:
    return {
        "project": HERE / "project",
        "domains": ["count.test", "moved.test"],
        "cache": CACHE,
    }


@pytest.fixture
def system(mailsystem: MailSystem) -> Iterator[MailSystem]:
    """The system; what its containers wrote during a test is shown where that fails."""
    start = time.time()
    yield mailsystem
    print(mailsystem.logs(start))
