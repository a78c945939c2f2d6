"""`lamson queue`: looking into a Maildir."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lamson.storage.maildir import Maildir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]


@pytest.fixture
def queue(project: Path) -> Maildir:
    return Maildir(project / "run" / "undeliverable")


def test_listing_counting_showing_removing(lamson: Lamson, queue: Maildir) -> None:
    first = queue.push(b"From: a@b.c\nSubject: one\n\nbody \xff\n")
    second = queue.push(b"Subject: =?utf-8?q?=1B[2Jtwo?=\n\n")
    assert lamson("queue").out == (
        f"{first}        {len(queue.get(first) or b'')}  a@b.c  one\n"
        f"{second}        {len(queue.get(second) or b'')}  -  ?[2Jtwo\n"
    )
    assert lamson("queue", "-list").out == lamson("queue").out
    assert lamson("queue", "-count").out == "2\n"
    assert "Subject: one" in lamson("queue", "-show", first).out
    assert lamson("queue", "-remove", first).out == f"removed {first}\n"
    assert queue.keys() == [second]
    for option in ("-show", "-remove"):
        done = lamson("queue", option, first)
        assert done.status == os.EX_NOINPUT
        assert f"there is no message {first}" in done.err


def test_as_the_old_lamson_spells_it(lamson: Lamson, queue: Maildir) -> None:
    first = queue.push(b"Subject: one\n\nbody \xff\n")
    queue.push(b"Subject: two\n\n")
    assert lamson("queue", "-keys").out.startswith(f"{first} ")
    assert lamson("queue", "-get", first).out == "Subject: one\n\nbody \ufffd\n"
    assert lamson("queue", "-pop").out == "Subject: one\n\nbody \ufffd\n"
    assert lamson("queue", "-pop").out == "Subject: two\n\n"
    none = lamson("queue", "-pop")
    assert none.status == os.EX_NOINPUT
    assert none.err.endswith("undeliverable: there is no message\n")
    assert queue.count() == 0


def test_a_message_that_cannot_be_printed_is_not_removed(queue: Maildir) -> None:
    key = queue.push(b"Subject: one\n\nbody\n")
    command = [sys.executable, "-m", "lamson", "queue", "-name", str(queue.path), "-pop"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode != 0
    assert b"No space left on device" in done.stderr
    assert queue.keys() == [key]


def test_clearing_asks_first(lamson: Lamson, queue: Maildir) -> None:
    queue.push(b"x")
    no = lamson("queue", "-clear", given=b"n\n")
    assert no.status == 130
    assert "Remove 1 message(s) from" in no.out
    assert queue.count() == 1
    assert lamson("queue", "-clear", given=b"y\n").out.endswith("removed 1 message(s)\n")
    queue.push(b"x")
    assert lamson("queue", "-clear", "-FORCE").out == "removed 1 message(s)\n"
    assert queue.count() == 0


def test_a_queue_is_found_from_anywhere_in_the_project(
    lamson: Lamson, queue: Maildir, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "config")
    assert lamson("queue", "-name", "run/undeliverable", "-count").out == "0\n"
    assert lamson("queue", "-name", str(queue.path), "-count").out == "0\n"


def test_what_is_no_queue_is_not_made_one(lamson: Lamson, project: Path) -> None:
    done = lamson("queue", "-name", "run/undeliverabel")
    assert done.status == os.EX_NOINPUT
    assert done.err.endswith("run/undeliverabel: there is no queue (Maildir) here\n")
    assert not (project / "run").exists()


def test_one_thing_at_a_time(lamson: Lamson, queue: Maildir) -> None:
    assert lamson("queue", "-list", "-count").status == os.EX_USAGE
