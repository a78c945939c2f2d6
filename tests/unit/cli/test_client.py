"""Handing a message to a server: dialogues with one that follows a script."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from lamson.cli.client import Outcome, submit
from lamson.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Server

A, B = "a@test.com", "b@test.com"


@pytest.fixture(autouse=True)
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "me")


def send(
    server: Server,
    *recipients: str,
    protocol: str = "auto",
    sender: str = "s@test.com",
    content: bytes = b"Subject: x\n\nhi\n",
) -> list[Outcome]:
    with server:
        return list(submit("127.0.0.1", server.port, protocol, sender, recipients, content))


def test_lmtp_answers_once_per_accepted_recipient(server: type[Server]) -> None:
    scripted = server("""
        S: 220 hello
        C: lhlo me
        S: 250-hello
        S: 250-SIZE 1000
        S: 250 8BITMIME
        C: MAIL FROM:<s@test.com> SIZE=21
        S: 250 2.1.0 Ok
        C: RCPT TO:<a@test.com>
        S: 250 2.1.5 Ok
        C: RCPT TO:<c@test.com>
        S: 550 5.1.1 No
        C: RCPT TO:<b@test.com>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 go on
        C: ...
        S: 250 2.0.0 Ok
        S: 451-4.3.0 Not
        S: 451 4.3.0 now
        C: QUIT
        S: 221 bye
    """)
    assert send(scripted, A, "c@test.com", B) == [
        Outcome("c@test.com", 550, "5.1.1 No"),
        Outcome(A, 250, "2.0.0 Ok"),
        Outcome(B, 451, "4.3.0 Not 4.3.0 now"),
    ]
    assert scripted.data == b"Subject: x\r\n\r\nhi\r\n"


def test_smtp_is_the_fallback_and_answers_once(server: type[Server]) -> None:
    scripted = server("""
        S: 220 hello
        C: lhlo me
        S: 502 5.5.2 what?
        C: ehlo me
        S: 250 hello
        C: MAIL FROM:<>
        S: 250 2.1.0 Ok
        C: RCPT TO:<a@test.com>
        S: 250 2.1.5 Ok
        C: RCPT TO:<b@test.com>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 go on
        C: ...
        S: 552 5.3.4 Too big
    """)
    assert send(scripted, A, B, sender="", content=b".dot\r\n..two\nbare\rend") == [
        Outcome(A, 552, "5.3.4 Too big"),
        Outcome(B, 552, "5.3.4 Too big"),
    ]
    assert scripted.data == b"..dot\r\n...two\r\nbare\r\nend\r\n"


def test_an_old_server_is_greeted_with_helo(server: type[Server]) -> None:
    scripted = server("""
        S: 220 hello
        C: ehlo me
        S: 500 what?
        C: helo me
        S: 250 hello
        C: MAIL FROM:<s@test.com>
        S: 452 4.3.1 full
        C: QUIT
        S: 221 bye
    """)
    assert send(scripted, A, protocol="smtp") == [Outcome(A, 452, "4.3.1 full")]


def test_what_the_message_needs_is_declared(server: type[Server]) -> None:
    scripted = server("""
        S: 220 hello
        C: lhlo me
        S: 250-hello
        S: 250-8BITMIME
        S: 250 SMTPUTF8
        C: MAIL FROM:<s@test.com> BODY=8BITMIME SMTPUTF8
        S: 250 2.1.0 Ok
        C: RCPT TO:<ä@test.com>
        S: 550 5.1.1 No
        C: QUIT
        S: 221 bye
    """)
    outcomes = send(scripted, "ä@test.com", content="ä\n".encode())
    assert outcomes == [Outcome("ä@test.com", 550, "5.1.1 No")]


def test_addresses_that_the_server_cannot_take_are_not_tried(server: type[Server]) -> None:
    scripted = server("""
        S: 220 hello
        C: lhlo me
        S: 250 hello
        C: QUIT
        S: 221 bye
    """)
    assert [outcome.code for outcome in send(scripted, "ä@test.com")] == [550]


def test_data_refused(server: type[Server]) -> None:
    scripted = server("""
        S: 220 hello
        C: lhlo me
        S: 250 hello
        C: MAIL FROM:<s@test.com>
        S: 250 2.1.0 Ok
        C: RCPT TO:<a@test.com>
        S: 250 2.1.5 Ok
        C: DATA
        S: 451 4.3.0 not now
        C: QUIT
    """)
    assert send(scripted, A) == [Outcome(A, 451, "4.3.0 not now")]


@pytest.mark.parametrize(
    ("dialogue", "problem"),
    [
        ("S: 421 4.3.2 go away", "does not take mail: 421 4.3.2 go away"),
        ("S: 220 hello\nC: lhlo me", "the connection was closed"),
        ("S: 220 hello\nC: lhlo me\nS: 500 a\n", "the connection was closed"),
        ("S: nonsense", "does not take mail: what it says is no reply"),
    ],
)
def test_a_server_that_is_none_is_one_line(
    server: type[Server], dialogue: str, problem: str
) -> None:
    with pytest.raises(UnavailableError, match=problem):
        send(server(dialogue), A)


def test_lmtp_only_is_lmtp_only(server: type[Server]) -> None:
    with pytest.raises(UnavailableError, match="does not take mail: 500 what"):
        send(server("S: 220 hello\nC: lhlo me\nS: 500 what?"), A, protocol="lmtp")


def test_a_cut_after_some_replies_tells_them_first(server: type[Server]) -> None:
    scripted = server("""
        S: 220 hello
        C: lhlo me
        S: 250 hello
        C: MAIL FROM:<s@test.com>
        S: 250 2.1.0 Ok
        C: RCPT TO:<a@test.com>
        S: 250 2.1.5 Ok
        C: RCPT TO:<b@test.com>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 go on
        C: ...
        S: 250 2.0.0 Ok
    """)
    with scripted:
        outcomes = submit("127.0.0.1", scripted.port, "auto", "s@test.com", [A, B], b"x")
        assert next(outcomes) == Outcome(A, 250, "2.0.0 Ok")
        with pytest.raises(UnavailableError, match="the connection was closed"):
            next(outcomes)


def test_a_unix_socket(server: type[Server], tmp_path: Path) -> None:
    scripted = server("""
        S: 220 hello
        C: lhlo me
        S: 250 hello
        C: MAIL FROM:<>
        S: 550 5.7.1 no
        C: QUIT
    """)
    scripted.listen_on(tmp_path / "sock")
    with scripted:
        outcomes = list(submit(f"unix:{tmp_path}/sock", 0, "auto", "", [A], b"x"))
    assert outcomes == [Outcome(A, 550, "5.7.1 no")]


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnavailableError, match=f"^127.0.0.1:{port}: Connection refused; is it st"):
        list(submit("127.0.0.1", port, "auto", "", [A], b""))
    with pytest.raises(UnavailableError, match=r"^unix:none\.sock: No such file or directory; is"):
        list(submit("unix:none.sock", 0, "auto", "", [A], b""))
