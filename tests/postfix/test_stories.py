"""What users do with an application behind Postfix, told from outside: mail in, mail out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postfix.sender import letter, send

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow]


def subscribe(stage: Stage, who: str) -> None:
    stage.write(who, "users-subscribe@lists.test", subject="Subscribe")
    (confirm,) = stage.sink.wait(to=who)
    assert confirm.message["Subject"] == "Please confirm"
    assert confirm.message["Auto-Submitted"] == "auto-replied"
    stage.write(who, confirm.message["From"], subject="Re: Please confirm")
    _, welcome = stage.sink.wait(2, to=who)
    assert welcome.message["Subject"] == "Welcome"


def test_people_subscribe_confirm_and_post(stage: Stage) -> None:
    stage.query("insert into mailing_list values ('users')")
    subscribe(stage, "zed@sender.test")
    subscribe(stage, "joe@sender.test")
    post = letter("joe@sender.test", "users@lists.test", "News", "Zürich is nice.\r\n")
    stage.write("joe@sender.test", "users@lists.test", content=post)
    (received,) = stage.sink.wait(
        to="zed@sender.test", where=lambda message: message.message["Subject"] == "News"
    )
    assert received.sender == "users-bounces@lists.test"
    assert set(received.recipients) == {"zed@sender.test", "joe@sender.test"}
    assert received.content.endswith(post), "the bytes of the author, untouched"
    assert received.message["Delivered-To"] == "users@lists.test"
    stage.settle()
    assert len(stage.sink.messages) == 5


def test_a_stranger_cannot_post(stage: Stage) -> None:
    stage.query("insert into mailing_list values ('users')")
    subscribe(stage, "zed@sender.test")
    stage.write("spam@sender.test", "users@lists.test", subject="Buy")
    stage.lamson.wait_log("kept", "users@lists.test")
    stage.settle()
    assert len(stage.sink.messages) == 2


def test_one_of_two_recipients_refuses_and_one_bounce_tells_of_that_one(stage: Stage) -> None:
    sent = stage.write("zed@sender.test", "counted-one@app.test", "members@app.test")
    (bounce,) = stage.sink.wait(
        to="zed@sender.test", where=lambda message: b"members only" in message.content
    )
    stage.settle()
    assert bounce.sender == ""
    report = bounce.content.decode()
    assert "Final-Recipient: rfc822; members@app.test" in report
    assert "Status: 5.7.1" in report
    assert "counted-one" not in report.partition("Content-Description: Undelivered")[0]
    assert sorted(message.message["Subject"] for message in stage.sink.messages) == [
        "Counted one",
        "Undelivered Mail Returned to Sender",
    ]
    effects = stage.query("select queue_id, recipient from effect")
    assert effects == [(sent.queue_id, "counted-one@app.test")]


def test_an_address_without_a_route_is_refused(stage: Stage) -> None:
    sent = stage.write("zed@sender.test", "nobody@app.test")
    (bounce,) = stage.sink.wait(to="zed@sender.test")
    assert b"Status: 5.1.1" in bounce.content
    assert stage.lamson.wait_log("refused", sent.queue_id, "nobody@app.test")
    stage.settle()


def test_postfix_may_ask_us_before_it_accepts(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(
        incoming={
            "smtpd_recipient_restrictions": "reject_unverified_recipient",
            "unverified_recipient_reject_code": "550",
            "address_verify_poll_delay": "1s",
        }
    )
    recipients = ("nobody@app.test", "counted-one@app.test")
    sent = send(stage.postfix.smtp_port, "zed@sender.test", *recipients)
    assert [sent.recipients[recipient][0] for recipient in recipients] == [550, 250]
    (answer,) = stage.sink.wait(to="zed@sender.test")
    assert answer.message["Subject"] == "Counted one"
    stage.settle()
    assert stage.query("select count(*) from effect") == [(1,)], "asking is not handling"


def test_postfix_reaches_us_through_a_unix_socket(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(unix=True)
    sent = stage.write("zed@sender.test", "counted-one@app.test")
    stage.sink.wait(to="zed@sender.test")
    stage.settle()
    assert stage.query("select queue_id from effect") == [(sent.queue_id,)]


def test_a_handler_that_raises_is_retried_until_it_is_mended(stage: Stage) -> None:
    broken = stage.lamson.project / "run" / "broken-two"
    broken.touch()
    sent = stage.write("zed@sender.test", "counted-one@app.test", "counted-two@app.test")
    stage.postfix.wait_log(sent.queue_id, "to=<counted-one@app.test>", "status=sent")
    stage.postfix.wait_log(sent.queue_id, "to=<counted-two@app.test>", "status=deferred", "451")
    stage.postfix.wait_log(
        sent.queue_id, "to=<counted-two@app.test>", "status=deferred", "451", count=2
    )
    broken.unlink()
    stage.postfix.retry(sent.queue_id)
    stage.postfix.wait_log(sent.queue_id, "to=<counted-two@app.test>", "status=sent")
    stage.settle()
    effects = stage.query("select queue_id, recipient from effect order by recipient")
    assert effects == [
        (sent.queue_id, "counted-one@app.test"),
        (sent.queue_id, "counted-two@app.test"),
    ]
    subjects = [message.message["Subject"] for message in stage.sink.to("zed@sender.test")]
    assert sorted(subjects) == ["Counted one", "Counted two"]


def test_an_address_in_utf8_and_a_body_of_8_bits_survive(stage: Stage) -> None:
    body = "Grüße\r\n.\r\n..dots\r\n".encode() + bytes(range(0x80, 0x100)) + b"\r\n"
    content = letter("dörte@sender.test", "über-jürgen@app.test", "Grüße", "") + body
    sent = stage.write(
        "dörte@sender.test",
        "über-jürgen@app.test",
        content=content,
        options="SMTPUTF8 BODY=8BITMIME",
    )
    (received,) = stage.sink.wait(to="jürgen@world.test")
    assert received.sender == "über-jürgen@app.test"
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(received.options)
    assert received.content.endswith(content)
    assert stage.lamson.wait_log("handled", sent.queue_id, "recipient=über-jürgen@app.test")
    stage.settle()


def test_an_address_in_utf8_needs_no_smtputf8(stage: Stage) -> None:
    """Postfix takes one without it (strict_smtputf8=no), and does not add it for us."""
    sent = stage.write("dörte@sender.test", "über-jürgen@app.test")
    stage.postfix.wait_log(sent.queue_id, "to=<über-jürgen@app.test>", "status=sent")
    (received,) = stage.sink.wait(to="jürgen@world.test")
    assert "SMTPUTF8" in received.options
    stage.settle()
    assert len(stage.sink.messages) == 1, "no bounce"


def test_the_log_speaks_of_postfix_queue_ids(stage: Stage) -> None:
    sent = stage.write("zed@sender.test", "counted-one@app.test")
    stage.sink.wait(to="zed@sender.test")
    stage.settle()
    for event in ("received", "routed", "handled", "replied", "submitted"):
        (line,) = stage.lamson.log_lines(f" {event} ", f"id={sent.queue_id}")
        assert "counted-one@app.test" in line or event in ("received", "submitted")
