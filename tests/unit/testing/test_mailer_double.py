"""lamson.testing.mailer_double: the fixture for web applications."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mailer_settings(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "hello.txt").write_text("Hello ${name}.\n")
    return {"templates": [tmp_path]}


def test_the_mailer_needs_no_project(mailer: Any) -> None:
    at = datetime(2999, 1, 31, tzinfo=UTC)
    given = {"to": "zed@example.com", "sender": "shop@test.com", "subject": "x"}
    engine = create_engine(mailer.url)
    with Session(engine) as session:
        mailer.send(mailer.compose("hello.txt", name="Zed", **given), session)
        assert mailer.sent == []
        session.rollback()
        mailer.send(mailer.compose("hello.txt", name="Zed", **given), session)
        mailer.send(mailer.compose(body="Later.", **given), session, at=at)
        session.commit()
    engine.dispose()
    [sent] = mailer.sent
    assert (sent.sender, sent.body.strip(), sent["Subject"]) == ("shop@test.com", "Hello Zed.", "x")
    [(when, later)] = mailer.scheduled
    assert (when, later.body.strip()) == (at, "Later.")
