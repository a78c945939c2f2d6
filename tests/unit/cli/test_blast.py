"""`lamson cleanse`, `blast` and `import`: heaps of mail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from lamson.cli import client
from lamson.cli.client import Outcome
from lamson.errors import UnavailableError
from lamson.storage.maildir import Maildir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

GOOD = b"From: a@b.example\nTo: test@test.com, zed@test.com\nSubject: one\n\nbody\n"
BAD = b"From: a@b.example\nContent-Type: text/plain; charset=x-none\n\n\xff\n"


@pytest.fixture
def mbox(tmp_path: Path) -> Path:
    file = tmp_path / "old.mbox"
    file.write_bytes(b"From a@b.example x\n" + GOOD + b"\nFrom - x\n" + BAD + b"\nFrom - x\n\n\n")
    return file


def test_cleanse_writes_what_can_be_read(lamson: Lamson, mbox: Path, tmp_path: Path) -> None:
    done = lamson("cleanse", "-input", "old.mbox", "-output", "clean")
    assert done.status == 1
    assert done.out == "1 with defects of the kind charset\n2 of 3 message(s) written\n"
    assert done.err == "left out old.mbox:3: it has no header\n"
    clean = Maildir(tmp_path / "clean")
    assert [clean.get(key) for key in clean.keys()] == [GOOD, BAD]  # noqa: SIM118
    done = lamson("cleanse", "-input", "clean")
    assert (done.status, done.out.splitlines()[-1]) == (0, "2 of 2 message(s) can be read")
    assert lamson("cleanse", "-input", "clean", "-output", "./clean").status == os.EX_USAGE
    assert lamson("cleanse", "-input", "nothing").status == os.EX_NOINPUT


def test_cleanse_leaves_out_what_could_hide_something(lamson: Lamson, tmp_path: Path) -> None:
    Maildir(tmp_path / "in").push(b"Subject: x\nContent-Type: multipart/mixed\n\nx\n")
    assert lamson("cleanse", "-input", "in").status == 0
    done = lamson("cleanse", "-input", "in", "-strict")
    assert done.status == 1
    assert "it could hide something: " in done.err


def test_blast_delivers_all(lamson: Lamson, mbox: Path, submitted: list[tuple[Any, ...]]) -> None:
    done = lamson("blast", "-input", "old.mbox", "-port", "1", "-failed", "left")
    assert done.status == 1
    assert done.out == "1 taken, 2 refused, 0 deferred\n"
    assert "old.mbox:2: refused: it names 0 recipients: say -to" in done.err
    ((host, port, protocol, sender, recipients, content),) = submitted
    assert (host, port, protocol, sender) == ("127.0.0.1", 1, "auto", "a@b.example")
    assert (recipients, content) == (["test@test.com", "zed@test.com"], GOOD)
    submitted.clear()
    done = lamson("blast", "-input", "old.mbox", "-to", "x@test.com", "-sender", "<>")
    assert (done.status, done.out) == (0, "3 taken, 0 refused, 0 deferred\n")
    assert {(call[3], tuple(call[4])) for call in submitted} == {("", ("x@test.com",))}


def test_what_is_not_taken_is_tried_again_for_those_alone(
    lamson: Lamson, mbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []
    codes = {"test@test.com": 250, "zed@test.com": 451}

    def submit(*arguments: Any) -> Iterator[Outcome]:
        calls.append(arguments)
        if len(calls) == 2:
            raise UnavailableError("the connection was closed")
        return (Outcome(one, codes[one], "said") for one in arguments[4])

    monkeypatch.setattr(client, "submit", submit)
    done = lamson("blast", "-input", "old.mbox", "-failed", "left")
    assert done.status == 1  # two name nobody
    assert done.out == "0 taken, 2 refused, 1 deferred\n"
    assert "old.mbox:1: not taken: zed@test.com: 451 said" in done.err
    left = Maildir(tmp_path / "left")
    key = left.keys()[0]
    for other in left.keys()[1:]:
        left.remove(other)
    gone = lamson("blast", "-input", "left", "-failed", "more")
    assert gone.status == os.EX_UNAVAILABLE
    assert gone.out == "0 taken, 0 refused, 0 deferred\n"
    codes["zed@test.com"] = 250
    assert lamson("blast", "-input", "more").out == "1 taken, 0 refused, 0 deferred\n"
    assert key
    assert calls[-1][3:] == ("a@b.example", ["zed@test.com"], GOOD)


@pytest.mark.usefixtures("project", "mbox")
@pytest.mark.parametrize(
    ("listen", "reached"),
    [
        ("0.0.0.0:8824", ("127.0.0.1", 8824)),
        ("unix:sockets/lmtp.sock", ("unix:{}/sockets/lmtp.sock", 0)),
    ],
)
def test_import_goes_to_the_application(
    lamson: Lamson,
    tmp_path: Path,
    submitted: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    listen: str,
    reached: tuple[str, int],
) -> None:
    monkeypatch.setenv("LAMSON_LMTP__LISTEN", listen)
    monkeypatch.setenv("LAMSON_LMTP__ALLOW", "192.0.2.1")
    done = lamson("import", "-input", "old.mbox", "-to", "archive@test.com")
    assert (done.status, done.out) == (0, "3 taken, 0 refused, 0 deferred\n")
    assert submitted[0][:3] == (reached[0].format(tmp_path), reached[1], "lmtp")
