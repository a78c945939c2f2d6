"""A stranger reaches no third party through us, and makes us bounce to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postfix.instance import why_not
from tests.postfix.sender import send
from tests.security.answering import AUTHSERV_ID, answering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.security.answering import Answering

pytestmark = [pytest.mark.postfix, pytest.mark.slow]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    if reason := why_not():
        pytest.skip(reason)
    with answering(tmp_path_factory.mktemp("reflector")) as stage:
        yield stage


def letter(author: str, *fields: str) -> bytes:
    head = (f"From: {author}", "Subject: You have won 1,000,000", *fields)
    return "".join(f"{line}\r\n" for line in (*head, "", "Click here.")).encode()


def test_whom_a_stranger_names_gets_nothing(stage: Answering) -> None:
    spammer, victim = "spammer@evil.test", "victim@bank.test"
    stage.write(spammer, "answer@test.com", content=letter(victim))
    stage.write(spammer, "answer@test.com", content=letter(spammer, f"Reply-To: {victim}"))
    forged = f"Authentication-Results: mx.evil.test; dmarc=pass header.from={victim}"
    stage.write(spammer, "answer@test.com", content=letter(victim, forged))
    answers = stage.sink.wait(3, to=spammer)
    assert all(answer.sender == "" for answer in answers)
    assert stage.sink.to(victim) == []


def test_who_is_proven_to_write_is_answered(stage: Answering) -> None:
    proof = f"Authentication-Results: {AUTHSERV_ID}; dmarc=pass header.from=corp.test"
    stage.write("bounces@mailer.test", "answer@test.com", content=letter("zed@corp.test", proof))
    stage.sink.wait(to="zed@corp.test")
    assert stage.sink.to("bounces@mailer.test") == []


def test_no_report_is_answered(stage: Answering) -> None:
    """Whatever its sender: an abuse report comes from somebody, and so may a receipt."""
    for kind in ("feedback-report", "disposition-notification", "delivery-status"):
        field = f'Content-Type: multipart/report; report-type="{kind}"; boundary=x'
        stage.write("reports@isp.test", "answer@test.com", content=letter("a@isp.test", field))
    stage.lamson.wait_log("unanswered", "multipart/report", count=3)
    assert stage.sink.to("a@isp.test") == stage.sink.to("reports@isp.test") == []


def test_forty_spellings_are_one_mailbox(stage: Answering) -> None:
    """And two workers count together."""
    spellings = [
        spelling
        for n in range(10)
        for spelling in (
            f"mark+{n}@crowd.test",
            f"MARK+{n}@Crowd.Test",
            f"m.ark+{n}@crowd.test",
            f'"ma.rk+ {n}"@crowd.test',
        )
    ]
    for number, spelling in enumerate(spellings):
        to = f"answer@{'test.com' if number % 2 else 'localhost'}"
        stage.write(spelling, to, content=letter(spelling))
    reason = "too many answers to this correspondent within an hour"
    stage.lamson.wait_log("unanswered", reason, count=10)
    stage.settle()
    answers = [m for m in stage.sink.messages if m.recipients[0].lower().endswith("@crowd.test")]
    assert len(answers) == 30


def test_a_forged_loop_makes_no_bounce(stage: Answering) -> None:
    victim = "other.victim@bank.test"
    forged = letter("x@evil.test", "Delivered-To: forward-a@test.com", "X-Lamson-Forwarded: 00")
    stage.write(victim, "forward-a@test.com", content=forged)
    [forwarded] = stage.sink.wait(to="a@friend.test")
    assert forwarded.sender == "forward-a@test.com"

    # The friend sends it again, with the mark that is on it now, and in the victim's name.
    stage.write(victim, "forward-a@test.com", content=forwarded.content)
    stage.lamson.wait_log("kept", "Mail loop detected")
    stage.settle()
    assert len(stage.sink.to("a@friend.test")) == 1
    assert stage.sink.to(victim) == []


def test_a_real_loop_comes_to_an_end(stage: Answering) -> None:
    """Our own envelope sender is on it: it bounces to us, and that to nobody."""
    stage.write("zed@world.test", "forward-b@test.com", content=letter("zed@world.test"))
    [forwarded] = stage.sink.wait(to="b@friend.test")
    sent = send(
        stage.postfix.smtp_port,
        forwarded.sender,
        "forward-b@test.com",
        content=forwarded.content,
    )
    assert sent.data[0] == 250
    # Postfix's bounce is new mail, and is forwarded once.
    bounce = stage.sink.wait(2, to="b@friend.test")[1]
    assert b"5.4.6" in bounce.content
    stage.settle()
    assert stage.sink.to("zed@world.test") == []
