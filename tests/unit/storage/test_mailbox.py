"""Mailboxes are read message by message, whatever is in them."""

from __future__ import annotations

import os
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from lamson.errors import LamsonError
from lamson.storage import mailbox
from lamson.storage.maildir import Maildir

if TYPE_CHECKING:
    from pathlib import Path


def test_names_senders_and_quotes(tmp_path: Path) -> None:
    file = tmp_path / "old.mbox"
    file.write_bytes(
        b"From zed@example.com Sat Nov 28 10:00:00 2026\n"
        b"Subject: one\n\nbody\nFrom here it goes on\n>From there\n>>From all\n\n"
        b"From MAILER-DAEMON Sat Nov 28 10:00:01 2026\r\n"
        b"Subject: two\r\n\r\nx\r\n\r\n"
        b"From - \n\n"
    )
    one, two, three = mailbox.messages(file)
    assert one.content == b"Subject: one\n\nbody\nFrom here it goes on\nFrom there\n>From all\n"
    assert two.content == b"Subject: two\r\n\r\nx\r\n"
    assert [found.sender for found in (one, two, three)] == ["zed@example.com", "", None]
    assert [found.name for found in (one, two, three)] == [f"old.mbox:{n}" for n in (1, 2, 3)]
    assert sum(found.octets for found in (one, two, three)) <= mailbox.size(file)


def test_what_is_too_large_is_not_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "old.mbox"
    file.write_bytes(b"From a\nSubject: x\n\n" + b"y" * 300_000 + b"\n\nFrom b\nSubject: z\n\nz\n")
    large, small = mailbox.messages(file, 100_000)
    assert large.content is None
    assert large.octets > 300_000
    assert small.content == b"Subject: z\n\nz\n"
    queue = Maildir(tmp_path / "queue")
    queue.push(b"Subject: x\n\n" + b"y" * 200)
    (found,) = mailbox.messages(queue.path, 100)
    assert found.content is None


def test_what_is_no_mailbox(tmp_path: Path) -> None:
    with pytest.raises(LamsonError, match="No such file") as error:
        list(mailbox.messages(tmp_path / "nothing"))
    assert error.value.exit_code == os.EX_NOINPUT
    (tmp_path / "text").write_text("Dear all,\n")
    with pytest.raises(LamsonError, match="neither a Maildir nor an mbox"):
        list(mailbox.messages(tmp_path / "text"))
    (tmp_path / "empty").write_text("")
    assert list(mailbox.messages(tmp_path / "empty")) == []
    with pytest.raises(LamsonError, match="expected directories new and cur in it"):
        list(mailbox.messages(tmp_path))


def test_a_link_in_a_maildir_leads_nowhere(tmp_path: Path) -> None:
    """Whoever may write into a shared one would have root read, and hand on, what is his alone."""
    queue = Maildir(tmp_path / "queue")
    queue.push(b"Subject: x\n\nx\n")
    (tmp_path / "secret").write_bytes(b"Subject: secret\n\nwords\n")
    (queue.path / "new" / "1.link").symlink_to(tmp_path / "secret")
    os.mkfifo(queue.path / "new" / "2.pipe")
    assert [found.content for found in mailbox.messages(queue.path)] == [b"Subject: x\n\nx\n"]
    assert mailbox.size(queue.path) == len(b"Subject: x\n\nx\n")


def test_many_short_lines_take_no_more_memory_than_they_have_octets(tmp_path: Path) -> None:
    file = tmp_path / "old.mbox"
    file.write_bytes(b"From a\nSubject: x\n\n" + b"y\n" * 100_000)
    tracemalloc.start()
    try:
        (found,) = mailbox.messages(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.content is not None
    assert found.content.endswith(b"\ny\n")
    assert peak < 2_000_000
