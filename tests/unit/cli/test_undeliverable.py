"""`lamson undeliverable`: what was kept, and what to do with it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from lamson.storage import undeliverable
from lamson.storage.maildir import Maildir
from lamson.storage.undeliverable import Kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

HANDLERS = """
from lamson import route, stateless

@route("(user)@(host)", user="[a-z]+")
@stateless
def TAKE(message, user, host):
    if message.subject == "break":
        raise RuntimeError("broken")
"""


@pytest.fixture
def queue(project: Path) -> Maildir:
    return Maildir(project / "run" / "undeliverable")


def keep(queue: Maildir, subject: str) -> str:
    content = f"From: z@e.example\r\nSubject: {subject}\r\n\r\nbody\r\n".encode()
    return undeliverable.write(
        queue, Kept(content, "no\x1bway", "z@e.example", "desk@test.com", "4Qz", "app START")
    )


def test_looking_and_dropping(lamson: Lamson, queue: Maildir) -> None:
    first, second = keep(queue, "one"), queue.push(b"Subject: two\n\nbare\n")
    assert lamson("undeliverable", "-count").out == "2\n"
    lines = lamson("undeliverable").out.splitlines()
    assert lines[0].startswith(f"{first}  20")
    assert lines[0].endswith("  <z@e.example> to desk@test.com  one  no way")
    assert lines[1].endswith("  <> to -  two  for no reason that is known")
    shown = lamson("undeliverable", "-show", first)
    assert shown.out == "From: z@e.example\r\nSubject: one\r\n\r\nbody\r\n"
    assert "reason: no way\nsender: z@e.example\nrecipient: desk@test.com\n" in shown.err
    assert lamson("undeliverable", "-drop", first, given=b"n\n").status == 130
    assert lamson("undeliverable", "-drop", first, "-FORCE").out == f"dropped {first}\n"
    assert queue.keys() == [second]
    assert lamson("undeliverable", "-drop", "ALL", given=b"y\n").status == 0
    assert queue.count() == 0


@pytest.mark.usefixtures("database")
def test_all_are_handled_again(
    lamson: Lamson, project: Path, queue: Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"undeliverable_handlers_{time.time_ns()}"
    (project / f"{name}.py").write_text(HANDLERS)
    monkeypatch.setenv("LAMSON_HANDLERS", name)
    good, bad, again = keep(queue, "fine"), keep(queue, "break"), keep(queue, "fine")
    done = lamson("undeliverable", "-requeue", "all")
    assert done.status == 1
    assert f"{good}: 250 2.0.0 Ok" in done.out
    assert f"{bad}: 451 4.3.0" in done.out
    assert queue.keys() == [bad]
    assert again not in lamson("undeliverable").out
    queue.clear()
    assert lamson("undeliverable", "-requeue", "ALL").out == "there is none\n"


def test_what_is_not_there(lamson: Lamson, queue: Maildir) -> None:
    for option in ("-show", "-drop"):
        done = lamson("undeliverable", option, "../new")
        assert done.status == os.EX_NOINPUT
        assert "undeliverable: there is no message ../new" in done.err
    assert lamson("undeliverable", "-count", "-list").status == os.EX_USAGE
    assert lamson("undeliverable", "-recipient", "a@b.c").status == os.EX_USAGE
