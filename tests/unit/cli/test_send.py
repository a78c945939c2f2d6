"""`lamson send`: what it sends, what it prints, how it ends."""

from __future__ import annotations

import email
import os
from datetime import datetime
from email.policy import default
from typing import TYPE_CHECKING, Any

import pytest

from lamson.cli import client
from lamson.cli.client import Outcome
from lamson.storage.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done, Server

    Lamson = Callable[..., Done]


def test_the_line_of_the_introduction(lamson: Lamson, submitted: list[tuple[Any, ...]]) -> None:
    line = ["-sender", "me@mydomain.com", "-to", "test@test.com", "-subject", "My test."]
    done = lamson("send", *line, "-body", "Hi there.", "-port", "8825")
    assert (done.status, done.out, done.err) == (0, "test@test.com: 250 2.0.0 Ok\n", "")
    host, port, protocol, sender, recipients, content = submitted[0]
    assert (host, port, protocol) == ("127.0.0.1", 8825, "auto")
    assert (sender, recipients) == ("me@mydomain.com", ["test@test.com"])
    message = email.message_from_bytes(content, policy=default)
    assert message["From"] == "me@mydomain.com"
    assert message["To"] == "test@test.com"
    assert message["Subject"] == "My test."
    assert message.get_content().strip() == "Hi there."
    assert message["Date"]
    assert message["Message-ID"]


def test_several_recipients_files_and_standard_input(
    lamson: Lamson, submitted: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("attached")
    (tmp_path / "b.bin").write_bytes(b"\0\xff")
    done = lamson(
        "send",
        *("--sender=<>", "--to", "a@b.c, d@e.f", "--to=g@h.i", "--body=-", "--port=1"),
        *("--attach", "a.txt", "--attach", "b.bin", "--protocol=lmtp", "--host=::1"),
        given="grüße".encode(),
    )
    assert done.status == 0
    host, port, protocol, sender, recipients, content = submitted[0]
    assert (host, port, protocol) == ("::1", 1, "lmtp")
    assert (sender, recipients) == ("", ["a@b.c", "d@e.f", "g@h.i"])
    message = email.message_from_bytes(content, policy=default)
    text, first, second = message.iter_parts()
    assert text.get_content().strip() == "grüße"
    assert (first.get_filename(), first.get_content_type()) == ("a.txt", "text/plain")
    assert (second.get_filename(), second.get_content()) == ("b.bin", b"\0\xff")


def test_a_whole_message_is_sent_as_it_is(
    lamson: Lamson, submitted: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    (tmp_path / "x.eml").write_bytes(b"Subject: x\n\nbody \xff\n")
    lamson("send", "-sender", "a@b.c", "-to", "d@e.f", "-file", "x.eml")
    lamson("send", "-sender", "a@b.c", "-to", "d@e.f", "-file", "-", given=b"y")
    assert [call[5] for call in submitted] == [b"Subject: x\n\nbody \xff\n", b"y"]
    done = lamson("send", "-sender", "a@b.c", "-to", "d@e.f", "-file", "x.eml", "-body", "x")
    assert done.status == os.EX_USAGE


@pytest.mark.parametrize(
    ("codes", "status"),
    [([250, 250], 0), ([250, 550], 1), ([451, 550], 1), ([250, 451], 75), ([250, -1], 75)],
)
def test_the_status_tells_what_was_refused(
    lamson: Lamson, monkeypatch: pytest.MonkeyPatch, codes: list[int], status: int
) -> None:
    monkeypatch.setattr(
        client, "submit", lambda *arguments: [Outcome("a@b.c", code, "\x1b[2Jx") for code in codes]
    )
    done = lamson("send", "-sender", "a@b.c", "-to", "d@e.f")
    assert done.status == status
    assert done.out == "".join(f"a@b.c: {code} ?[2Jx\n" for code in codes)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-sender", "nobody", "-to", "a@b.c"],
        ["-sender", "a@b.c", "-to", "a@b.c>\r\nDATA"],
        ["-sender", "a@b.c", "-to", "a@b.c", "-subject", "x\r\nBcc: y@z"],
    ],
)
def test_what_is_no_address_or_header_is_wrong_use(lamson: Lamson, arguments: list[str]) -> None:
    done = lamson("send", *arguments)
    assert done.status == os.EX_USAGE
    assert done.err.startswith("lamson: ")
    assert done.err.endswith("Try: lamson help -for send\n")


def test_a_missing_file_is_named(lamson: Lamson) -> None:
    for option in ("-file", "-attach"):
        done = lamson("send", "-sender", "a@b.c", "-to", "d@e.f", option, "none")
        assert (done.status, done.err) == (
            os.EX_NOINPUT,
            "lamson: none: No such file or directory\n",
        )


def test_an_unreachable_server(lamson: Lamson, server: type[Server]) -> None:
    scripted = server("S: 220 never seen")
    scripted._listener.close()
    done = lamson("send", "-sender", "a@b.c", "-to", "d@e.f", "-port", str(scripted.port))
    assert done.status == os.EX_UNAVAILABLE
    assert done.err == (
        f"lamson: 127.0.0.1:{scripted.port}: Connection refused; is it started?"
        " (lamson start, or lamson log)\n"
    )


@pytest.mark.parametrize("host", ["mail..example", "a" * 64 + ".example"])
def test_a_host_that_cannot_be(lamson: Lamson, host: str) -> None:
    done = lamson("send", "-sender", "a@b.c", "-to", "d@e.f", "-host", host)
    assert done.status == os.EX_UNAVAILABLE
    assert done.err == f"lamson: {host}:8823: no server can be called so\n"


def test_no_host_is_wrong_use(lamson: Lamson) -> None:
    done = lamson("send", "-sender", "a@b.c", "-to", "d@e.f", "-host", "")
    assert (done.status, "-host: expected a name" in done.err) == (os.EX_USAGE, True)


def test_a_message_is_put_into_the_outbox(lamson: Lamson, database: Database) -> None:
    line = ("send", "-outbox", "-sender", "me@test.com", "-to", "zed@example.com", "-body", "Hi.")
    done = lamson(*line)
    assert done.status == 0
    outbox = Outbox(database, "service")
    [row] = outbox.claim(10)
    assert done.out == f"{row.message_id}\n"
    assert row.message_id.endswith("@test.com>")
    assert (row.sender, row.recipients) == ("me@test.com", ("zed@example.com",))
    first = lamson(*line, "-key", "report")
    assert first.err == ""
    again = lamson(*line, "-key", "report")
    assert (again.status, again.out) == (0, first.out)
    assert first.out != done.out
    assert f"nothing is sent: -key report was used before, for {first.out}" in again.err
    assert lamson(*line, "-at", "2999-01-31T09:00").status == 0
    [later] = outbox.scheduled()
    assert later.due_at == datetime(2999, 1, 31, 9).timestamp()


def test_what_cannot_be_put_into_the_outbox(lamson: Lamson, database: Database) -> None:
    line = ("send", "-outbox", "-to", "zed@example.com", "-sender")
    for arguments, why in (
        ((*line, "me@example.com"), "in none of our domains"),
        ((*line, "me@test.com", "-port", "25"), "-outbox cannot go with -port"),
        ((*line, "me@test.com", "-at", "noon"), "expected a time such as"),
        ((*line, "me@test.com", "-at", "0001-01-01"), "expected a time such as"),
        ((*line, "me@test.com", "-key", ""), "Invalid value for -key: expected a text"),
        (("send", "-to", "a@b.c", "-sender", "a@b.c", "-key", "x"), "-at and -key go with -outbox"),
    ):
        done = lamson(*arguments)
        assert done.status == os.EX_USAGE
        assert why in done.err
    assert Outbox(database, "service").all() == []
