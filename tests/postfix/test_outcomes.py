"""What became of tracked mail, told through a real Postfix."""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING

import pytest

from tests.postfix.sender import letter
from tests.unit.delivery.tracked import complaint, dsn, failed
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.sink import Delivered
    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow]


@pytest.fixture
def reporting(make_stage: Callable[..., Stage]) -> Stage:
    """A stage whose Postfix gives up soon, asks the socketmap, and is asked for all reports."""
    port = free_port()
    stage = make_stage(
        main={
            "relay_recipient_maps": f"socketmap:inet:127.0.0.1:{port}:recipient",
            "delay_warning_time": "1s",
            "maximal_queue_lifetime": "5s",
        },
        environment={
            "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{port}",
            "LAMSON_SUBMISSION__NOTIFY": "FAILURE,DELAY,SUCCESS",
        },
    )
    wait_for(lambda: listening(port), "the socketmap")
    return stage


def told(stage: Stage, kind: str) -> list[tuple[object, ...]]:
    return stage.query(
        "select recipient, status, state, subject from told where kind = ? order by id", kind
    )


def invite(stage: Stage, who: str, *people: str) -> None:
    stage.write(
        who, "invite@app.test", content=letter(who, "invite@app.test", who, " ".join(people))
    )


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


def everything(stage: Stage) -> list[tuple[object, ...]]:
    return [*stage.query("select * from told"), *map(tuple, map(str, stage.postfix.queue()))]


def everybody_else(stage: Stage) -> list[Delivered]:
    """What left that is no invitation."""
    return [one for one in stage.sink.messages if not one.message["Subject"].startswith("Come")]
