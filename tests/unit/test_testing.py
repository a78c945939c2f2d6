"""lamson.testing; what a project's tests do with it is in tests/intro and in the skeleton."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from lamson.testing import Conversation, Sent

if TYPE_CHECKING:
    from pathlib import Path


def test_an_inbox_does_not_mind_capitals() -> None:
    message: Any = None
    answer = Sent("", ("zed@example.com",), message)
    mailroom: Any = SimpleNamespace(
        sent=[answer, Sent("", ("ann@example.com",), message)], deliver=lambda *mail: [answer]
    )
    zed = Conversation(mailroom, "Zed@Example.com")
    assert zed.deliver("list@test.com", b"") is answer
    assert zed.inbox == [answer]


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
