"""`pytest --lamson-chaos`, `--lamson-through dev` and `postfix`: one script for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lamson.cli import begin
from lamson.cli import project as making
from tests.examples.projects import PLUGINS
from tests.postfix.played import playing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

HANDLERS = """\
from lamson import Delivery, MailRequest, route, stateless


@route("desk@test.com")
def START(message: MailRequest, delivery: Delivery):
    delivery.reply(sender="desk@test.com", subject="What is it about?", body="Please answer.")
    return ASKED


@route("desk@test.com")
def ASKED(message: MailRequest, delivery: Delivery):
    delivery.reply(subject="Thanks", body=f"You said: {message.new_text}")
    return START


@route("copies@test.com")
@stateless
def copies(message: MailRequest, delivery: Delivery):
    delivery.forward("ann@example.com")
"""
BREAKS = """\
from lamson import Delivery, MailRequest, route


@route("breaks@test.com")
def START(message: MailRequest, delivery: Delivery):
    delivery.reply(subject="Not to be seen", body="x")
    raise KeyError("surprise")


@route("breaks@test.com")
def ERROR(message: MailRequest):
    return ERROR
"""
STORY = """\
import pytest

from lamson.testing import Refused, Undeliverable


def test_several_people(conversation, sent):
    zed, ann = conversation("zed@example.com"), conversation("ann@example.com")
    asked = zed.say(
        "desk@test.com",
        "Hello",
        "My printer burns.",
        html="<p>My printer <b>burns</b>.</p>",
        cc=["bob@example.com", "copies@test.com"],
        attachments={"a.txt": "words"},
    )
    assert asked["Subject"] == "What is it about?"
    (copy,) = ann.inbox
    assert [part.filename for part in copy.message.attachments] == ["a.txt"]
    assert "<b>burns</b>" in copy.message.html
    assert conversation("bob@example.com").inbox == []
    assert "You said: It is red." in zed.reply(asked, "It is red.").body
    assert ann.say("desk@test.com", "Hi")["Subject"] == asked["Subject"]
    assert len(zed.inbox) == 2


def test_each_begins_anew(conversation, sent):
    assert sent == []
    asked = conversation("zed@example.com").say("desk@test.com", "Hello")
    assert asked["Subject"] == "What is it about?"


def test_a_refusal(conversation):
    with pytest.raises(Refused) as refused:
        conversation("zed@example.com").say("nobody@test.com", "Hi")
    assert refused.value.reply.code == 550


def test_what_breaks_is_no_silence(conversation, sent):
    with pytest.raises((KeyError, Undeliverable)):
        conversation("zed@example.com").say("breaks@test.com", "Hi")
    assert [one for one in sent if one["Subject"] == "Not to be seen"] == []
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "guest"
    making.generate(directory, making.SKELETON)
    making.generate(directory, begin.directory(begin.EMPTY), force=True)
    begin.settle(directory)
    (directory / "app" / "handlers" / "desk.py").write_text(HANDLERS)
    (directory / "app" / "handlers" / "breaks.py").write_text(BREAKS)
    settings = directory / "config" / "settings.py"
    text = settings.read_text()
    named = 'handlers=["app.handlers.desk", "app.handlers.breaks"]'
    settings.write_text(text.replace("handlers=[]", named))
    (directory / "tests" / "story_tests.py").write_text(STORY)
    return directory


def play(project: Path, *options: str, **variables: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LAMSON_")}
    done = subprocess.run(
        [*command, *options, "tests/story_tests.py"],
        cwd=project,
        env={**kept, **PLUGINS, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.mark.parametrize("options", [["--lamson-chaos"], ["--lamson-through", "dev"]])
def test_a_story_is_played(project: Path, options: list[str]) -> None:
    assert "passed" in play(project, *options)


@pytest.mark.postfix
def test_a_story_is_played_through_postfix(project: Path) -> None:
    with playing() as played:
        said = play(project, *played.options, "--tb=short", **played.environment)
    assert "passed" in said
