"""STARTTLS on the LMTP server: the connection alone, then real TLS on loopback."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest

from lamson.net.listen import bind
from lamson.net.quiet import MOST, Quiet
from lamson.net.tls import client_context, server_context
from lamson_lmtp.connection import HANDSHAKE, NEW, Connection, Limits
from lamson_lmtp.events import CLOSED, NEED_DATA, PAUSED, STARTTLS, LocalProtocolError
from lamson_lmtp.server import LmtpServer
from tests.certificates import Authority
from tests.unit.lmtp.fakes import FakeDispatcher

if TYPE_CHECKING:
    from pathlib import Path

HELLO = b"LHLO client.example\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def connection() -> Connection:
    connection = Connection(Limits(), "mail.example", wants_tls=True)
    connection.data_to_send()
    return connection


def said(connection: Connection, data: bytes) -> tuple[list[object], bytes]:
    """The events until there are no more, and what is to be sent."""
    connection.receive_data(data)
    events = []
    while (event := connection.next_event()) not in (NEED_DATA, PAUSED, STARTTLS, CLOSED):
        events.append(event)
    return [*events, event], connection.data_to_send()


def test_without_tls_it_is_not_known() -> None:
    connection = Connection(Limits(), "mail.example")
    connection.data_to_send()
    _, sent = said(connection, HELLO + b"STARTTLS\r\n")
    assert b"STARTTLS" not in sent
    assert sent.endswith(b"502 5.5.1 Command not implemented\r\n")


def test_nothing_is_done_before_tls(connection: Connection) -> None:
    _, sent = said(connection, HELLO)
    assert b"250-STARTTLS\r\n" in sent
    for line in (b"MAIL FROM:<a@b.example>", b"RCPT TO:<a@b.example>", b"DATA", b"XFORWARD NAME=x"):
        assert said(connection, line + b"\r\n")[1] == b"530 5.7.0 Say STARTTLS first\r\n"
    said(connection, b"RSET\r\n")
    assert said(connection, b"MAIL FROM:<a@b.example>\r\n")[1].startswith(b"530 ")


def test_what_was_pipelined_behind_it_is_forgotten(connection: Connection) -> None:
    events, sent = said(
        connection, HELLO + b"STARTTLS\r\nLHLO evil\r\nMAIL FROM:<e@vil.example>\r\n"
    )
    assert events[-1] is STARTTLS
    assert sent.endswith(b"220 2.0.0 Ready to start TLS\r\n")
    assert connection.state is HANDSHAKE
    assert connection.unread == 0
    assert connection.next_event() is PAUSED
    connection.secured("mail.example")
    assert connection.state is NEW
    _, sent = said(connection, HELLO)
    assert b"STARTTLS" not in sent
    assert said(connection, b"STARTTLS\r\n")[1].startswith(b"502 ")


def test_an_argument_is_wrong_and_so_is_our_own_haste(connection: Connection) -> None:
    assert said(connection, HELLO + b"STARTTLS now\r\n")[1].endswith(
        b"501 5.5.4 Syntax error in arguments\r\n"
    )
    with pytest.raises(LocalProtocolError):
        connection.secured("mail.example")


async def _dialogue(server: LmtpServer, context: ssl.SSLContext) -> bytes:
    sock = bind("127.0.0.1:0")
    port = sock.getsockname()[1]
    await server.start([sock])
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HELLO + b"STARTTLS\r\n")
            await reader.readuntil(b"220 2.0.0 Ready to start TLS\r\n")
            await writer.start_tls(context, server_hostname="lamson.test")
            writer.write(
                HELLO + b"MAIL FROM:<a@b.example>\r\nRCPT TO:<one@test.example>\r\nDATA\r\n"
                b"Subject: x\r\n\r\n" + b"y" * 200_000 + b"\r\n.\r\nQUIT\r\n"
            )
            answers = await reader.read()
            writer.close()
            return answers
    finally:
        await server.drain(1.0)


def test_a_message_over_tls(authority: Authority) -> None:
    certificate, key = authority.issue("lamson.test")
    dispatcher = FakeDispatcher()
    server = LmtpServer(dispatcher, hostname="mail.example", tls=server_context(certificate, key))
    answers = asyncio.run(_dialogue(server, client_context(authority.certificate)))
    assert answers.endswith(b"250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n")


def test_a_client_without_the_certificate_that_is_asked_for(authority: Authority) -> None:
    certificate, key = authority.issue("lamson.test")
    context = server_context(certificate, key, authority.certificate)
    server = LmtpServer(FakeDispatcher(), hostname="mail.example", tls=context)
    client = client_context(authority.certificate)
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # with 1.3 it is told when it reads only
    with pytest.raises((ssl.SSLError, ConnectionError)):
        asyncio.run(_dialogue(server, client))
    assert server.connections == set()


def test_a_handshake_that_never_comes_holds_up_no_stop(authority: Authority) -> None:
    async def story() -> bytes:
        certificate, key = authority.issue("lamson.test")
        server = LmtpServer(FakeDispatcher(), tls=server_context(certificate, key))
        sock = bind("127.0.0.1:0")
        port = sock.getsockname()[1]
        await server.start([sock])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO + b"STARTTLS\r\n")
        await reader.readuntil(b"220 2.0.0 Ready to start TLS\r\n")
        async with asyncio.timeout(10):
            await server.drain(5.0)
            answer = await reader.read()
        writer.close()
        assert server.connections == set()
        return answer

    assert asyncio.run(story()).startswith(b"421 4.3.2")


def test_a_client_with_it(authority: Authority) -> None:
    certificate, key = authority.issue("lamson.test")
    context = server_context(certificate, key, authority.certificate)
    server = LmtpServer(FakeDispatcher(), hostname="mail.example", tls=context)
    client = client_context(authority.certificate)
    client.load_cert_chain(*authority.issue("postfix.test"))
    assert asyncio.run(_dialogue(server, client)).endswith(b"221 2.0.0 Bye\r\n")


def test_a_client_that_may_not_connect() -> None:
    async def story() -> bytes:
        server = LmtpServer(FakeDispatcher(), allow=["192.0.2.0/24", "2001:db8::/32"])
        sock = bind("127.0.0.1:0")
        port = sock.getsockname()[1]
        await server.start([sock])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        await server.drain(1.0)
        return answer

    assert asyncio.run(story()) == b"554 5.7.1 This client may not connect\r\n"


def test_who_may_not_connect_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        server = LmtpServer(FakeDispatcher(), allow=["192.0.2.0/24"])
        sock = bind("127.0.0.1:0")
        port = sock.getsockname()[1]
        await server.start([sock])
        async with asyncio.timeout(60):
            for _ in range(5 * MOST):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                assert await reader.read() == b"554 5.7.1 This client may not connect\r\n"
                writer.close()
        await server.drain(1.0)

    quiet = Quiet(lambda: 5.0)  # no time passes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lamson_lmtp.server.Quiet", lambda: quiet)
        asyncio.run(story())
    assert len([one for one in caplog.messages if "lmtp.allow" in one]) == MOST


def test_files_that_cannot_be_used(tmp_path: Path, authority: Authority) -> None:
    from lamson.errors import SettingsError

    certificate, key = authority.issue("lamson.test")
    other = authority.issue("other.test")[1]
    (tmp_path / "no.pem").write_text("nothing")
    for arguments, problem in (
        ((certificate, other), "not usable for TLS: key values mismatch"),
        ((tmp_path / "no.pem", key), "not usable for TLS"),
        ((tmp_path / "missing.pem", key), "No such file"),
    ):
        with pytest.raises(SettingsError, match=problem):
            server_context(*arguments)
    with pytest.raises(SettingsError, match="not usable for TLS"):
        client_context(tmp_path / "no.pem")
