"""Whatever spelling of an address a stranger uses, each of our doors gives the same answer."""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING

import pytest

from tests.postfix.instance import why_not
from tests.postfix.sender import send
from tests.security.answering import answering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.security.answering import Answering

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

OURS = [
    "forward-s@test.com",
    "FORWARD-s@TEST.com",
    "forward-\u017f@test.com",
    "forward-s@te\u017ft.com",
    "forward-s@te\u212ast.com",
    "forward-k@\uff54est.com",
    "forward-\u212a@test.com",
    "forward-\u00fc@b\u00fccher.example",
    "FORWARD-\u00dc@B\u00dcCHER.example",
    "forward-u\u0308@bu\u0308cher.example",
    "forward-a@xn--bcher-kva.example",
    "forward-a@XN--BCHER-KVA.example",
]
UNKNOWN = ["forward-\u0131@test.com", "forward-\u00df1@te\u017ft.com", "f\u00f6rward-a@test.com"]
ELSEWHERE = [
    "forward-a@te\u0142t.com",
    "forward-a@evil\uff20test.com.x",
    "forward-a@bucher.example",
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    if reason := why_not():
        pytest.skip(reason)
    with answering(tmp_path_factory.mktemp("unicode")) as stage:
        yield stage


def at_the_lmtp_port(stage: Answering, recipient: str) -> int:
    with smtplib.LMTP("127.0.0.1", stage.lamson.port, timeout=60) as client:
        client.command_encoding = "utf-8"
        client.ehlo()
        client.docmd("MAIL", "FROM:<zed@world.test> SMTPUTF8")
        return client.docmd("RCPT", f"TO:<{recipient}>")[0]


def at_postfix(stage: Answering, recipient: str) -> int:
    with smtplib.SMTP("127.0.0.1", stage.postfix.smtp_port, timeout=60) as client:
        client.command_encoding = "utf-8"
        client.ehlo()
        client.docmd("MAIL", "FROM:<zed@world.test> SMTPUTF8")
        return client.docmd("RCPT", f"TO:<{recipient}>")[0]


@pytest.mark.parametrize(
    ("recipient", "is_ours", "is_routed"),
    [
        *((one, True, True) for one in OURS),
        *((one, True, False) for one in UNKNOWN),
        *((one, False, False) for one in ELSEWHERE),
    ],
    ids=ascii,
)
def test_all_doors_agree(stage: Answering, recipient: str, is_ours: bool, is_routed: bool) -> None:
    domain = recipient.rpartition("@")[2]
    assert (stage.ask("domain", domain) == "OK ours") is is_ours
    assert stage.ask("transport", recipient).startswith("OK lmtp:") is is_ours
    assert (stage.ask("recipient", recipient) == "OK routed") is is_routed
    assert at_the_lmtp_port(stage, recipient) == (250 if is_routed else 550)
    expected = (250,) if is_routed else (550,) if is_ours else (501, 554)
    assert at_postfix(stage, recipient) in expected


def test_what_postfix_takes_is_delivered_and_forwarded(stage: Answering) -> None:
    """None of it is refused later, which would bounce: not the recipient, nor what it sends."""
    for number, recipient in enumerate(OURS):
        sent = send(
            stage.postfix.smtp_port,
            f"zed{number}@world.test",
            recipient,
            content=b"Subject: %d\r\n\r\nHello.\r\n" % number,
            options="SMTPUTF8",
        )
        assert sent.data[0] == 250, sent
    stage.settle()
    friends = [m for m in stage.sink.messages if m.recipients[0].endswith("@friend.test")]
    assert len(friends) == len(OURS)
    assert len(stage.sink.messages) == len(OURS), "there was no bounce"
    assert {m.recipients[0].lower() for m in friends} == {
        "s@friend.test", "k@friend.test", "\u00fc@friend.test", "a@friend.test",
    }  # fmt: skip
