"""docs/how-to/trace.md: its commands, typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

PAGE = "how-to/trace.md"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    project.close()


def test_a_mail_is_followed_and_its_author_forgotten(project: Project) -> None:
    project.type("export LAMSON_JOURNAL__KEEP=headers", "lamson start")
    project.send(1)
    here = {"4ZxWQk1qg7z3Bq": "4ZxWQk0001z5tVb", "zed@example.com": "zed1@example.com"}
    shown = project.follow(PAGE, "trace", **here)
    assert " lamson    4ZxWQk0001z5tVb    handled: " in shown
    assert " database  4ZxWQk0001z5tVb    journal: " in shown
    assert '"asked": "zed1@example.com"' in shown
    gone = project.follow(PAGE, "forget", **here)
    assert "would be erased: journal: " in gone
    assert "\nerased: journal: " in gone
