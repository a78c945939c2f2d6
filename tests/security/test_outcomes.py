"""A stranger, and who got a mail, at the bounce address of tracked mail."""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING

import pytest

from tests.postfix.conftest import make_postfix, make_stage, sink, stories_project
from tests.postfix.instance import why_not
from tests.postfix.reporting import everybody_else, everything, invite, reporting, told
from tests.postfix.sender import letter
from tests.unit.delivery.tracked import complaint, dsn, failed
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.postfix.stage import Stage

__all__ = ["make_postfix", "make_stage", "reporting", "sink", "stories_project"]  # fixtures

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]


def test_what_a_stranger_reports(reporting: Stage) -> None:
    """A forged address is unknown at RCPT; who has the mail counts for himself, and once."""
    stage = reporting
    invite(stage, "ann@sender.test", "zed@world.test")
    (invitation,) = stage.sink.wait(to="zed@world.test")
    wait_for(lambda: told(stage, "relayed"), "the success to be told")
    address = invitation.sender
    forged = [
        f"bounces+{'a' * 47}@app.test",
        address.replace("bounces+", "bounces+a"),
        address.replace("@app.test", "") + "a@app.test",
        "bounces+@app.test",
    ]
    with smtplib.SMTP("127.0.0.1", stage.postfix.smtp_port) as client:
        client.ehlo("stranger.test")
        client.mail("")
        for one in forged:
            code, text = client.rcpt(one)
            assert (code, b"User unknown" in text) == (550, True), one
    with smtplib.LMTP("127.0.0.1", stage.lamson.port) as direct:
        direct.ehlo("stranger.test")
        direct.mail("")
        assert {direct.rcpt(one)[0] for one in forged} == {550}

    stage.write("", address, content=dsn(failed("boss@elsewhere.test"), failed("zed@world.test")))
    stage.write("", address.upper(), content=dsn(failed("zed@world.test")))
    stage.write("fbl@provider.test", address, content=complaint("zed@world.test"))
    stage.write("zed@world.test", address, content=letter("zed@world.test", address, "Thank you"))
    wait_for(lambda: told(stage, "complaint"), lambda: f"the complaint: {everything(stage)}")
    stage.lamson.wait_log("kept", "it is no report")
    stage.settle()
    assert [row[0] for row in told(stage, "failed")] == ["zed@world.test"]
    assert len(told(stage, "complaint")) == 1
    assert stage.query("select address from lamson_suppressed") == [("zed@world.test",)]
    assert everybody_else(stage) == [], "nobody was answered"


def test_who_got_a_mail_cannot_fill_our_disk_or_speak_for_others(reporting: Stage) -> None:
    """He knows the address in it, and sends what nobody can read, and reports about others."""
    stage = reporting
    invite(stage, "ann@sender.test", "zed@world.test", "joe@world.test")
    (invitation,) = stage.sink.wait(to="zed@world.test")
    stage.sink.wait(to="joe@world.test")
    address = invitation.sender
    junk = letter("zed@world.test", address, "Hello", "x" * 1000)
    for _ in range(15):
        stage.write("zed@world.test", address, content=junk)
    several = dsn(failed("joe@world.test"), failed("boss@app.test"), failed("ann@sender.test"))
    stage.write("", address, content=several)
    stage.write("", address, content=dsn(text=several.decode()))
    stage.settle()
    stage.lamson.wait_log("dropped", "it is no report", count=5)
    assert len(list((stage.lamson.project / "run/undeliverable/new").iterdir())) == 10
    reported = {row[0] for row in told(stage, "failed")}
    assert reported <= {"zed@world.test"}, "of nobody but himself, to whom that mail went"
    suppressed = {row[0] for row in stage.query("select address from lamson_suppressed")}
    assert suppressed <= {"zed@world.test"}
    assert everybody_else(stage) == [], "nobody was answered"
