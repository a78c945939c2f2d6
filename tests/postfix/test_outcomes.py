"""What became of tracked mail, told through a real Postfix."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.postfix.reporting import everybody_else, everything, invite, reporting, told
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.postfix.stage import Stage

__all__ = ["reporting"]  # a fixture

pytestmark = [pytest.mark.postfix, pytest.mark.slow]


def test_what_postfix_reports_is_told(reporting: Stage) -> None:
    """An unknown user, a mailbox that stays full, and two who got it."""
    stage = reporting
    stage.sink.refuse("gone@world.test", "550 5.1.1 No such user here")
    stage.sink.refuse("full@world.test", "452 4.2.2 Mailbox full")
    invite(stage, "ann@sender.test", "gone@world.test")
    invite(stage, "bob@sender.test", "full@world.test", "here@world.test")
    wait_for(lambda: len(told(stage, "failed")) == 2, lambda: f"two failures: {everything(stage)}")
    wait_for(lambda: told(stage, "relayed"), lambda: f"a success: {everything(stage)}")
    bob, ann = "Come, bob@sender.test", "Come, ann@sender.test"
    assert sorted(told(stage, "failed")) == [
        ("full@world.test", "4.2.2", "INVITED", bob),
        ("gone@world.test", "5.1.1", "INVITED", ann),
    ]
    assert told(stage, "delayed") == [("full@world.test", "4.2.2", "INVITED", bob)]
    assert [row[0] for row in told(stage, "relayed")] == ["here@world.test"]
    states = stage.query("select author, state from lamson_state")
    assert {str(author): state for author, state in states} == {
        "ann@sender.test": "GONE",
        "bob@sender.test": "INVITED",
    }
    (invitation,) = stage.sink.to("here@world.test")
    assert invitation.sender.startswith("bounces+")
    assert invitation.sender.endswith("@app.test")
    assert stage.query("select address, reason from lamson_suppressed") == [
        ("gone@world.test", "unknown-user 5.1.1")
    ]

    stage.sink.accept("gone@world.test")
    invite(stage, "joe@sender.test", "gone@world.test", "here@world.test")
    stage.sink.wait(2, to="here@world.test")
    stage.lamson.wait_log("suppressed", "gone@world.test")
    assert stage.sink.to("gone@world.test") == []
    shown = stage.lamson.command("suppressed")
    said = "unknown-user 5.1.1: 550 5.1.1 No such user here"
    assert f"gone@world.test  all mail  {said}\n" in shown
    stage.lamson.command("suppressed", "-remove", "gone@world.test")
    invite(stage, "joe@sender.test", "gone@world.test")
    stage.sink.wait(to="gone@world.test")
    assert everybody_else(stage) == [], "nobody was written to about all that"


def test_what_submission_refuses_is_told_too(reporting: Stage) -> None:
    """At once, in the state of the conversation; and what a script sent, in none."""
    stage = reporting
    invite(stage, "ann@sender.test", "refused@world.test", "here@world.test")
    wait_for(lambda: told(stage, "refused"), lambda: f"the refusal: {everything(stage)}")
    subject = "Come, ann@sender.test"
    assert told(stage, "refused") == [("refused@world.test", "5.1.1", "INVITED", subject)]
    stage.sink.wait(to="here@world.test")
    states = stage.query("select author, state from lamson_state")
    assert states == [("ann@sender.test", "GONE")]
    assert stage.query("select address from lamson_suppressed") == [("refused@world.test",)]

    invite(stage, "bob@sender.test", "refused@world.test")
    wait_for(
        lambda: told(stage, "suppressed"), lambda: f"that it was not sent: {everything(stage)}"
    )

    stage.sink.refuse("gone@world.test", "550 5.1.1 No such user here")
    script = (
        "from lamson import Mailer, MailResponse\n"
        "mail = MailResponse(to='gone@world.test', sender='team@app.test',"
        " subject='Come, all', body='x')\n"
        "Mailer.of().send(mail, track=True, module='app.handlers.invitations')\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=stage.lamson.project, check=True,
                   env={**os.environ, **stage.lamson.environment})  # fmt: skip
    wait_for(lambda: told(stage, "failed"), lambda: f"the bounce: {everything(stage)}")
    assert told(stage, "failed") == [("gone@world.test", "5.1.1", "", "Come, all")]
    stage.settle()
    assert everybody_else(stage) == []
