"""docs/how-to/missing-mail.md: its commands tell of each mail what the tables say that they do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import DOCS
from tests.docs.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

PAGE = "how-to/missing-mail.md"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    project.close()


def test_each_mail_can_be_followed(project: Project) -> None:
    project.type("lamson start")
    (project.directory / "run" / "undeliverable" / "new").mkdir(parents=True, exist_ok=True)
    project.send(1)
    project.send(1)
    with pytest.raises(Exception, match=r"451"):
        project.send(2, user="broken")

    def look(number: int) -> str:
        here = {"4ZxWQk1qg7z3Bq": f"4ZxWQk{number:04d}z5tVb", "users@lists.example.com": "x@y.test"}
        return project.follow(PAGE, "look", **here)

    shown = look(1)
    events = re.findall(r"^\S+ (\w+) id=4ZxWQk0001z5tVb", shown, re.MULTILINE)
    assert events == ["received", "routed", "handled", "replied", *events[4:]]
    assert {"duplicate", "replied"} <= set(events[4:])
    assert " sent=1 " in shown
    assert "x@y.test is not routed: it is refused with 550 5.1.1" in shown
    assert "lamson is degraded\n  submission to " in shown
    assert re.search(r"^\d+  \d+s old  .* to zed1@example\.com", shown, re.MULTILINE)
    failed = look(2)
    events = re.findall(r"^\S+ (\w+) id=4ZxWQk0002z5tVb", failed, re.MULTILINE)
    assert events == ["received", "routed", "failed", "replied"]
    assert 'reply="451 ' in failed


def test_the_events_that_it_names_are_those_of_the_log() -> None:
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    log = (DOCS / "reference/log.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(\w+)` \|", log, re.MULTILINE))
    named = {"received", "routed", "duplicate", "failed", "replied", "kept", "handled"}
    named |= {"unanswered", "submitted", "refused"}
    assert named <= known
    assert all(f"`{name}" in page for name in named)
