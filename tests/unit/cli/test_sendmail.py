"""`lamson sendmail`: what mail programs expect of sendmail(1)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from lamson.cli import client
from lamson.cli.client import Outcome
from lamson.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

HEAD = b"From: Zed <zed@test.com>\nDate: now\nMessage-ID: <x@y>\n"


def test_as_mutt_calls_it(lamson: Lamson, submitted: list[tuple[Any, ...]]) -> None:
    done = lamson(
        "sendmail",
        *("-host", "::1", "-port", "8823", "-oem", "-oi", "-f", "me@test.com", "-B8BITMIME"),
        *("-N", "failure", "--", "a@b.c", "d@e.f", "a@b.c"),
        given=HEAD + b"\nhi\n.\nthere\n",
    )
    assert (done.status, done.out, done.err) == (0, "", "")
    assert submitted == [
        (
            *("::1", 8823, "auto", "me@test.com", ["a@b.c", "d@e.f"]),
            HEAD + b"\nhi\n.\nthere\n",
        )
    ]


def test_recipients_from_the_message(lamson: Lamson, submitted: list[tuple[Any, ...]]) -> None:
    given = (
        HEAD + b"To: A <a@b.c>,\n d@e.f\nBcc: secret@b.c,\n other@b.c\nCc: g@h.i\n\nBcc: stays\n"
    )
    assert lamson("sendmail", "-t", "-i", given=given).status == 0
    host, port, protocol, sender, recipients, content = submitted[0]
    assert (host, port, protocol, sender) == ("127.0.0.1", 8823, "auto", "zed@test.com")
    assert recipients == ["a@b.c", "d@e.f", "g@h.i", "secret@b.c", "other@b.c"]
    assert content == HEAD + b"To: A <a@b.c>,\n d@e.f\nCc: g@h.i\n\nBcc: stays\n"


def test_a_dot_ends_the_message_unless_told_otherwise(
    lamson: Lamson, submitted: list[tuple[Any, ...]]
) -> None:
    lamson("sendmail", "a@b.c", given=b"From x@y Mon\n" + HEAD + b"\nhi\n.\nnot this\n")
    assert submitted[0][5] == HEAD + b"\nhi\n"


@pytest.mark.parametrize("arguments", [["-f", "<>"], ["-f<>"], ["-f", ""], ["-r", "<>"]])
def test_the_null_sender(
    lamson: Lamson, submitted: list[tuple[Any, ...]], arguments: list[str]
) -> None:
    lamson("sendmail", *arguments, "a@b.c", given=HEAD)
    assert submitted[0][3] == ""


def test_what_a_message_lacks_is_added(
    lamson: Lamson, submitted: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "zed")
    monkeypatch.setattr("socket.gethostname", lambda: "box")
    lamson("sendmail", "a@b.c", given=b"Subject: x\n\nhi\n")
    lamson("sendmail", "a@b.c", given=b"just text, no header\n")
    sender, content = submitted[0][3], submitted[0][5]
    assert sender == "zed@box"
    assert content.startswith(b"From: zed@box\nDate: ")
    assert content.endswith(b"@localhost>\nSubject: x\n\nhi\n")
    assert submitted[1][5].endswith(b"@localhost>\n\njust text, no header\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "no recipients"),
        (["-t"], "no recipients"),
        (["nobody"], "Invalid value for recipient"),
        (["-f", "nobody", "a@b.c"], "Invalid value for -f"),
        (["-bs"], "of the modes -b only -bm"),
        (["-Z", "a@b.c"], "option -Z not recognized"),
        (["-port", "x", "a@b.c"], "-port takes a number"),
        (["-port", "99999", "a@b.c"], "-port takes a number"),
        (["--protocol=x", "a@b.c"], "-protocol one of"),
    ],
)
def test_wrong_use(lamson: Lamson, arguments: list[str], problem: str) -> None:
    done = lamson("sendmail", *arguments, given=b"\n")
    assert done.status == os.EX_USAGE
    assert problem in done.err


@pytest.mark.parametrize(
    ("code", "status"), [(250, os.EX_OK), (550, os.EX_UNAVAILABLE), (451, os.EX_TEMPFAIL)]
)
def test_failures_are_told_on_standard_error(
    lamson: Lamson, monkeypatch: pytest.MonkeyPatch, code: int, status: int
) -> None:
    monkeypatch.setattr(client, "submit", lambda *arguments: [Outcome("a@b.c", code, "x")])
    done = lamson("sendmail", "a@b.c", given=HEAD)
    assert (done.status, done.out) == (status, "")
    assert done.err == ("" if code == 250 else f"a@b.c: {code} x\n")


def test_an_unreachable_server(lamson: Lamson, monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(*arguments: Any) -> list[Outcome]:
        raise UnavailableError("127.0.0.1:8823: Connection refused")

    monkeypatch.setattr(client, "submit", submit)
    done = lamson("sendmail", "a@b.c", given=HEAD)
    assert done.status == os.EX_UNAVAILABLE
    assert done.err == "lamson: 127.0.0.1:8823: Connection refused\n"


def test_a_cr_in_a_header_makes_no_field(lamson: Lamson, submitted: list[tuple[Any, ...]]) -> None:
    given = HEAD + b"To: a@b.c\nSubject: s\rBcc: q@y.z\n\nbody\rstays\n"
    assert lamson("sendmail", "-t", "-i", given=given).status == 0
    assert submitted[0][4] == ["a@b.c"]
    assert submitted[0][5] == HEAD + b"To: a@b.c\nSubject: s Bcc: q@y.z\n\nbody\rstays\n"


def test_lines_that_end_in_cr(lamson: Lamson, submitted: list[tuple[Any, ...]]) -> None:
    given = HEAD + b"To: a@b.c\nBcc: q@y.z\n\nbody\n"
    assert lamson("sendmail", "-t", "-i", given=given.replace(b"\n", b"\r")).status == 0
    assert submitted[0][4] == ["a@b.c", "q@y.z"]
    assert submitted[0][5] == HEAD + b"To: a@b.c\n\nbody\n"
