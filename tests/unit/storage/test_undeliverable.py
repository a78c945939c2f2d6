"""lamson.storage.undeliverable"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamson.storage.maildir import Maildir
from lamson.storage.undeliverable import Kept, read, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def queue(tmp_path: Path) -> Maildir:
    return Maildir(tmp_path / "undeliverable")


def kept(content: bytes, reason: str = "why", state: str = "") -> Kept:
    return Kept(content, reason, "a@b.c", "desk@test.com", "4Qz", state)


def test_mail_readers_see_no_carriage_returns(queue: Maildir) -> None:
    key = write(queue, kept(b"Subject: x\r\n\r\nbody\r\n"))
    stored = queue.get(key)
    assert stored is not None
    assert b"\r" not in stored
    assert stored.startswith(b"X-Lamson-Reason: why\nX-Lamson-Sender: a@b.c\n")


def test_a_long_reason_and_a_state_come_back(queue: Maildir) -> None:
    message = kept(b"Subject: x\r\n\r\n", "a long reason " * 20 + "x", "app.list START")
    assert read(queue.get(write(queue, message)) or b"") == message


@pytest.mark.parametrize(
    "content",
    [
        b"Received: x\r\n\ty\r\nSubject: z\r\n\r\nX-Lamson-Reason: not this\r\n",
        b"Subject: x\n\nbare\n",
        b"Subject: x\r\n\r\nmixed\nends\r\n",
        b"Subject: x\r\n\r\nbare\rreturn\r\n",
        b"",
        b"no end",
    ],
)
def test_a_message_comes_back_byte_for_byte(queue: Maildir, content: bytes) -> None:
    assert read(queue.get(write(queue, kept(content))) or b"").content == content


@pytest.mark.parametrize("ends", [b"\r\n", b"\n"])
def test_fields_of_a_stranger_that_look_like_ours_are_content(queue: Maildir, ends: bytes) -> None:
    forged = (b"X-Lamson-Recipient: boss@test.com", b"X-Lamson-State: app.list OWNER", b"", b"x")
    message = kept(ends.join(forged))
    assert read(queue.get(write(queue, message)) or b"") == message


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a: b", b" c", b":"])).map(b"".join))
def test_any_message_does(content: bytes) -> None:
    class OneMessage:
        def push(self, content: bytes, headers: dict[str, str], *, mark: str) -> str:
            from lamson.message.compose import prepend_headers

            self.stored = prepend_headers(content, list(headers.items()))
            return "key"

    queue = OneMessage()
    write(queue, kept(b"Subject: x\r\n" + content))  # type: ignore[arg-type]
    assert read(queue.stored).content == b"Subject: x\r\n" + content


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q?x?=@test.com",
        '"' + "a" * 40 + "  " + "b" * 22 + '"@test.com',
        "zoë@test.com",
    ],
)
def test_any_address_comes_back(queue: Maildir, address: str) -> None:
    message = Kept(b"Subject: x\r\n\r\n", "550 =?x?= über", address, address, "id")
    assert read(queue.get(write(queue, message)) or b"") == message
