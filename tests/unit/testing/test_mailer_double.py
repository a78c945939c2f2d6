"""lamson.testing.mailer_double: the fixture for web applications."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from lamson.testing.mailer_double import _kept_mailer

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


def test_it_tracks_and_signs_with_a_key_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "handlers_of_a_shop.py").write_text(
        "from lamson import Signed, route, stateless\n"
        '@route("ok-(id)@test.com", id=Signed("confirm"))\n'
        "@stateless\ndef confirm(message, id): ...\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    values = {"handlers": ["handlers_of_a_shop"], "domains": ["test.com"]}
    mailer = _kept_mailer(tmp_path / "mailer", values)
    sender = f"ok-{mailer.sign('confirm', 'zed')}@test.com"
    mail = mailer.compose(to="zed@example.com", sender=sender, subject="x", body="y")
    mailer.send(mail, track=True)
    [sent] = mailer.sent
    assert sent["From"] == sender
    assert sent.sender.startswith("bounces+")
    mailer.close()
