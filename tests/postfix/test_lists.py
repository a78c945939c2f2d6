"""A list of fifty through a real Postfix: bounces, an autoresponder, two lists in a loop, DKIM."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lamson.lists import MailingList
from lamson.storage import lists
from lamson.storage.database import Database
from tests.postfix.sender import send
from tests.postfix.test_passing_on import Key
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

MEMBERS = [f"m{number}@world.test" for number in range(50)]
GONE = MEMBERS[10:13]
AWAY = MEMBERS[20]
ANN = MEMBERS[0]
USERS, FRIENDS = MailingList("users@app.test"), MailingList("friends@app.test")
POST = (
    b"From: Ann <m0@world.test>\r\nTo: users@app.test\r\nSubject: Hello\r\n"
    b"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <hello@world.test>\r\n\r\n"
    b"All of you.\r\n"
)
VACATION = b"From: m20@world.test\r\nTo: %b\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n"


def test_a_list_of_fifty(make_stage: Callable[..., Stage]) -> None:
    port = free_port()
    stage = make_stage(
        main={"relay_recipient_maps": f"socketmap:inet:127.0.0.1:{port}:recipient"},
        environment={
            "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{port}",
            "LAMSON_HANDLERS": "app.handlers.mailing_lists",
        },
    )
    wait_for(lambda: listening(port), "the socketmap")
    database = Database(f"sqlite:///{stage.lamson.project}/run/lamson.db")
    with database.begin() as connection:
        for one in MEMBERS:
            lists.put(connection, USERS.address, one, status=lists.ACTIVE)
        for first, second in ((USERS, FRIENDS), (FRIENDS, USERS)):
            lists.put(connection, first.address, second.address, status=lists.ACTIVE, copies=True)
    database.close()
    for one in GONE:
        stage.sink.refuse(one)
    key = Key()
    post = key.sign(POST)
    stage.write(ANN, USERS.address, content=post)
    there = sorted(set(MEMBERS) - set(GONE))
    stage.sink.wait(len(there))
    wait_for(
        lambda: (
            stage.query("select count(*) from lamson_list_members where status = 'paused'")
            == [(len(GONE),)]
        ),
        "those who are gone to be paused",
    )
    stage.lamson.wait_log("list-dropped", "posted")
    stage.settle()
    assert sorted(to for mail in stage.sink.messages for to in mail.recipients) == there
    assert len({mail.sender for mail in stage.sink.messages}) == len(there)
    for mail in stage.sink.messages[:3]:
        assert mail.content.endswith(post)
        assert key.holds(mail.content)
        assert mail.message["List-Id"] == '"users" <users.app.test>'
    (away,) = stage.sink.to(AWAY)
    for address in (away.sender, USERS.address):
        stage.write("", address, content=VACATION % address.encode())
    (left,) = re.findall(r"mailto:(users\+[^?>]*)", away.message["List-Unsubscribe"])
    forged = left.replace("+", "+a")
    refused = send(stage.postfix.smtp_port, AWAY, forged).recipients[forged]
    assert refused[0] == 550
    stage.write(AWAY, left)
    goodbye = stage.sink.wait(2, to=AWAY)[-1]
    assert goodbye.message["Subject"] == "Goodbye"
    stage.settle()
    stage.write(ANN, USERS.address, content=POST.replace(b"hello@", b"again@"))
    stage.sink.wait(2, to=ANN)
    stage.settle()
    last = [mail for mail in stage.sink.messages if b"<again@" in mail.content]
    assert sorted(to for mail in last for to in mail.recipients) == sorted({*there} - {AWAY})
    assert len(stage.sink.messages) == 2 * len(there), "a vacation goes nowhere"
