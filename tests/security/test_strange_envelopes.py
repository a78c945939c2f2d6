"""What a stranger says in HELO and MAIL FROM is his to choose, and gets him nowhere.

Postfix takes more than RFC 5321 allows, and passes it on. Where we refused it, Postfix would bounce
mail to whom he named; where we refused XFORWARD, the mail would have no queue id, and so neither
the notes of the filters nor protection from being handled twice.
"""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING

import pytest

from tests.postfix.instance import why_not
from tests.postfix.sender import letter
from tests.security.answering import answering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.security.answering import Answering

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

SENDERS = {
    "long": "a" * 600 + "@world.test",
    "longest": "a" * 2015 + "@world.test",
    "long domain": "a@" + ".".join(["b" * 60] * 4) + ".test",
    "control": '"a\x01b"@world.test',
    "line separator": "a\u2028b@world.test",
    "quotes": '"\\"\\\\"@world.test',
    "nobody": '""@world.test',
    "comment": "a(b)c@world.test",
    "brackets": "a@[999.1.1.1]",
    "bare": "a",
    "hyphen": "a@-world.test",
}
HELOS = [
    "a=b",
    "h" * 256,
    "h" * 2000,
    "+" * 1500,
    "\u00fc" * 120,
    "a IDENT=4jcM2l6H2ZzKfZC",
    "\x01",
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    if reason := why_not():
        pytest.skip(reason)
    with answering(tmp_path_factory.mktemp("envelopes")) as stage:
        yield stage


def say(stage: Answering, helo: str, sender: str, recipient: str) -> str:
    """Hand a message in; gives its queue id, "" where Postfix itself refused it."""
    with smtplib.SMTP("127.0.0.1", stage.postfix.smtp_port, timeout=60) as client:
        client.command_encoding = "utf-8"
        assert client.docmd("EHLO", helo)[0] == 250
        if client.docmd("MAIL", f"FROM:<{sender}>")[0] != 250:
            return ""
        assert client.docmd("RCPT", f"TO:<{recipient}>")[0] == 250
        code, text = client.data(letter("zed@world.test", recipient))
        assert code == 250
        return text.decode().rpartition(" ")[2]


def test_no_sender_makes_us_bounce(stage: Answering) -> None:
    for name, sender in SENDERS.items():
        for recipient in ("answer@test.com", "forward-a@test.com"):
            if not (queue_id := say(stage, "client.test", sender, recipient)):
                continue
            (line,) = stage.postfix.wait_log("postfix/lmtp", f"{queue_id}:", "status=")
            assert "status=sent" in line, (name, line)
    assert not stage.postfix.log_lines("non-delivery notification")
    stage.postfix.wait_empty()
    assert not any(message.recipients[0].startswith("aaa") for message in stage.sink.messages)


def test_no_helo_costs_the_queue_id(stage: Answering) -> None:
    for helo in HELOS:
        queue_id = say(stage, helo, "zed@world.test", "forward-a@test.com")
        stage.postfix.wait_log("postfix/lmtp", f"{queue_id}:", "status=sent")
        stage.lamson.wait_log("received", f"id={queue_id} ")
    assert not stage.postfix.log_lines("in reply to XFORWARD")
