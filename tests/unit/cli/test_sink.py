"""`lamson log`: mail goes in, and lies in the queue."""

from __future__ import annotations

import os
import smtplib
import socket
from typing import TYPE_CHECKING

import pytest

from lamson.cli.sink import stored
from lamson.service import daemon, pidfile
from lamson.storage.maildir import Maildir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]


@pytest.fixture
def log(lamson: Lamson, tmp_path: Path) -> Iterator[Callable[..., Done]]:
    """Starts `lamson log` on a free port."""
    yield lambda *arguments: lamson("log", "-port", "0", *arguments)
    assert daemon.terminate(tmp_path / "run" / "log.pid", 60, kill=True)


def test_a_message_is_stored_once_with_its_envelope(log: Lamson, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    done = log("-queue", "run/queue")
    assert (done.status, done.err) == (0, "")
    head, _, directory = done.out.rstrip("\n").partition(", storing in ")
    name, _, port = head.rpartition(":")
    assert name == "lamson log is listening: SMTP on 127.0.0.1"
    assert directory == str(tmp_path / "run" / "queue")

    content = "Subject: x\r\n\r\n.grüße\r\n".encode()
    with smtplib.SMTP("127.0.0.1", int(port), timeout=60) as client:
        client.sendmail("s@test.com", ["a@test.com", "ä@test.com"], content, ["SMTPUTF8"])
        client.sendmail("", ["b@test.com"], b"Subject: y\r\n\r\n")
    queue = Maildir(tmp_path / "run" / "queue")
    first, second = (queue.get(key) for key in queue.keys())  # noqa: SIM118
    assert first == (
        "Return-Path: <s@test.com>\n"
        "Delivered-To: a@test.com\nX-Original-To: a@test.com\n"
        "Delivered-To: ä@test.com\nX-Original-To: ä@test.com\n"
    ).encode() + content.replace(b"\r\n", b"\n")
    assert (second or b"").startswith(b"Return-Path: <>\nDelivered-To: b@test.com\n")
    assert "from=<s@test.com> to=a@test.com" in (tmp_path / "logs" / "log.log").read_text()


def test_long_lines_are_taken_as_postfix_takes_them(log: Lamson, tmp_path: Path) -> None:
    port = log("-queue", "run/queue").out.partition("127.0.0.1:")[2].partition(",")[0]
    content = b"Subject: x\r\n\r\n" + b"x" * 100_000 + b"\r\n"
    with smtplib.SMTP("127.0.0.1", int(port), timeout=60) as client:
        assert client.sendmail("s@test.com", ["a@test.com"], content) == {}
    queue = Maildir(tmp_path / "run" / "queue")
    [key] = queue.keys()
    assert (queue.get(key) or b"").endswith(b"\n\n" + b"x" * 100_000 + b"\n")


def test_ipv6(log: Lamson, lamson: Lamson) -> None:
    port = log("-host", "::1").out.partition("[::1]:")[2].partition(",")[0]
    line = ("send", "-sender", "a@b.c", "-to", "d@e.f")
    done = lamson(*line, "-host", "::1", "-port", port)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("d@e.f: 250 2.0.0 Ok: stored as ")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (("-host", "0.0.0.0"), "0.0.0.0 is no loopback address: expected -allow"),
        (("-host", "0.0.0.0", "-allow", "10.0.0.1/8"), "-allow: 10.0.0.1/8 has host bits set"),
    ],
)
def test_others_than_this_machine_have_to_be_named(
    log: Lamson, line: tuple[str, ...], problem: str
) -> None:
    refused = log(*line)
    assert refused.status == os.EX_USAGE
    assert problem in refused.err


def test_who_is_not_named_may_not_connect(log: Lamson) -> None:
    port = log("-allow", "192.0.2.0/24").out.partition("127.0.0.1:")[2].partition(",")[0]
    with (
        pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)),
        smtplib.SMTP("127.0.0.1", int(port), timeout=60) as client,
    ):
        client.ehlo()


def test_a_second_one_and_a_port_in_use_are_refused(log: Lamson, tmp_path: Path) -> None:
    assert log().status == 0
    again = log()
    assert again.status == os.EX_UNAVAILABLE
    assert "already running (pid" in again.err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = log("-pid", "run/other.pid", "-port", str(port))
    assert refused.status == os.EX_UNAVAILABLE
    assert f"lamson: cannot listen on 127.0.0.1:{port}: it is in use" in refused.err
    assert pidfile.read(tmp_path / "run" / "other.pid") is None


def test_a_queue_that_cannot_be_made(log: Lamson, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = log("-queue", "file")
    assert done.status == os.EX_CANTCREAT
    assert "file" in done.err
    assert done.err.count("\n") == 1


def test_the_envelope_stands_on_top() -> None:
    assert stored("", ["a@b.c"], b"x") == (
        b"Return-Path: <>\nDelivered-To: a@b.c\nX-Original-To: a@b.c\nx"
    )
