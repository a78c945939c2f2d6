"""lamson.relay.submission, against aiosmtpd; Postfix itself is in tests/postfix."""

import asyncio
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from lamson.relay.submission import Endpoint, Submitter, SubmitterDown
from lamson.storage.outgoing import Outgoing
from tests.waiting import free_port


class Server:
    """A server that refuses whom its test wants refused."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.sessions = 0
        self.refuse: dict[str, str] = {}
        self.data_reply = "250 2.0.0 Ok"

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.sessions += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.data_reply.startswith("250"):
            self.taken.append(envelope)
        return self.data_reply


@contextmanager
def listening(server: Server, **options: Any) -> Iterator[Endpoint]:
    controller = Controller(server, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield Endpoint("127.0.0.1", controller.port, timeout=5.0)
    finally:
        controller.stop()


def outgoing(
    *recipients: str, content: bytes = b"Subject: x\r\n\r\n.dot\r\n", **more: Any
) -> Outgoing:
    return Outgoing("4Qz", "<1@test>", "list@test.com", recipients, content, **more)


def submit(endpoint: Endpoint, *rows: Outgoing) -> list[Any]:
    async def story() -> list[Any]:
        submitter = Submitter(endpoint)
        try:
            return [(await submitter.submit(row)).refusals for row in rows]
        finally:
            await submitter.close()

    return asyncio.run(story())


def test_messages_share_a_connection_and_keep_their_bytes() -> None:
    server = Server()
    with listening(server) as endpoint:
        rows = [outgoing("a@b.example"), outgoing("c@b.example", content=b"\r\n..\r\n")]
        assert submit(endpoint, *rows) == [[], []]
    assert [one.content for one in server.taken] == [row.content for row in rows]
    assert [one.rcpt_tos for one in server.taken] == [["a@b.example"], ["c@b.example"]]
    assert server.sessions == 1


def test_each_refused_recipient_is_told_apart() -> None:
    server = Server()
    server.refuse = {"no@b.example": "550 5.1.1 nobody", "later@b.example": "451 4.2.1 busy"}
    with listening(server) as endpoint:
        (refusals,) = submit(endpoint, outgoing("yes@b.example", "no@b.example", "later@b.example"))
    assert {one.recipient: (one.reply, one.is_permanent) for one in refusals} == {
        "no@b.example": ("550 5.1.1 nobody", True),
        "later@b.example": ("451 4.2.1 busy", False),
    }
    assert server.taken[0].rcpt_tos == ["yes@b.example"]


def test_all_recipients_may_be_refused_and_the_connection_goes_on() -> None:
    server = Server()
    server.refuse = {"no@b.example": "550 5.1.1 nobody"}
    with listening(server) as endpoint:
        refused, taken = submit(endpoint, outgoing("no@b.example"), outgoing("a@b.example"))
    assert [one.recipient for one in refused] == ["no@b.example"]
    assert taken == []
    assert server.sessions == 1


@pytest.mark.parametrize(
    ("reply", "is_permanent"), [("554 5.7.1 spam", True), ("452 4.3.1 full", False)]
)
def test_the_message_itself_may_be_refused(reply: str, is_permanent: bool) -> None:
    server = Server()
    server.data_reply = reply
    with listening(server) as endpoint:
        (refusals,) = submit(endpoint, outgoing("a@b.example", "c@b.example"))
    assert [(one.reply, one.is_permanent) for one in refusals] == [(reply, is_permanent)] * 2


@pytest.mark.parametrize("host", ["127.0.0.1", "mail..example"])
def test_a_server_that_is_not_there(host: str) -> None:
    with pytest.raises(SubmitterDown, match=f"submission to {re.escape(host)}:1: "):
        submit(Endpoint(host, 1, timeout=5.0), outgoing("a@b.example"))


@pytest.mark.parametrize(("number", "is_ours"), [(errno.EMFILE, True), (errno.EINVAL, False)])
def test_a_server_that_could_not_be_tried_for_want_of_a_descriptor(
    number: int, is_ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", fail)
    with pytest.raises(SubmitterDown, match=os.strerror(number)) as down:
        submit(Endpoint("127.0.0.1", 1), outgoing("a@b.example"))
    assert down.value.is_ours is is_ours


def test_a_server_without_starttls_gets_no_mail() -> None:
    server = Server()
    with listening(server) as endpoint:
        secured = Endpoint(endpoint.host, endpoint.port, "starttls", timeout=5.0)
        with pytest.raises(SubmitterDown):
            submit(secured, outgoing("a@b.example"))
    assert server.taken == []


def test_smtputf8_is_carried_through() -> None:
    server = Server()
    row = outgoing("jos\u00e9@b.example", smtputf8=True, content="Subject: é\r\n\r\nx\r\n".encode())
    with listening(server, enable_SMTPUTF8=True) as endpoint:
        assert submit(endpoint, row) == [[]]
    assert server.taken[0].rcpt_tos == ["jos\u00e9@b.example"]
    assert server.taken[0].smtp_utf8


def test_without_smtputf8_such_mail_is_refused_for_good() -> None:
    server = Server()
    with listening(server, enable_SMTPUTF8=False) as endpoint:
        (refusals,) = submit(endpoint, outgoing("jos\u00e9@b.example", smtputf8=True))
    assert [one.is_permanent for one in refusals] == [True]


def test_reports_are_asked_for_where_the_server_gives_them() -> None:
    tracked: dict[str, Any] = {"envid": "abc", "notify": "FAILURE,DELAY"}
    asked = asyncio.run(commands(b"DSN", outgoing("a+b=c@d.example", "e@f.example", **tracked)))
    assert asked == [
        "MAIL FROM:<list@test.com> RET=HDRS ENVID=abc",
        "RCPT TO:<a+b=c@d.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@d.example",
        "RCPT TO:<e@f.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;e@f.example",
    ]
    plain = ["MAIL FROM:<list@test.com>", "RCPT TO:<a@b.example>"]
    assert asyncio.run(commands(b"DSN", outgoing("a@b.example"))) == plain
    assert asyncio.run(commands(b"HELP", outgoing("a@b.example", **tracked))) == plain


async def commands(extension: bytes, row: Outgoing) -> list[str]:
    """What a server with that extension is told of the envelope."""
    told: list[str] = []
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        is_content = False
        while octets := await reader.readline():
            line = octets.decode().rstrip()
            if is_content and line != ".":
                continue
            is_content = line == "DATA"
            if line.startswith(("MAIL", "RCPT")):
                told.append(line)
            replies = {"EHLO": b"250-here\r\n250 " + extension, "DATA": b"354 go on"}
            writer.write(replies.get(line[:4], b"250 Ok") + b"\r\n")
        writer.close()
        served.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        submitter = Submitter(Endpoint("127.0.0.1", port, timeout=5.0))
        await submitter.submit(row)
        await submitter.close()
        await served.wait()
    return told
