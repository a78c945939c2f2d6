"""The Maildir queue: what was pushed is there, oldest first, whoever else is using it."""

from __future__ import annotations

import mailbox
import os
import socket
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from lamson.storage.maildir import Maildir, OversizeError

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = b"Subject: hello\r\n\r\nbody\r\n"


@pytest.fixture
def queue(tmp_path: Path) -> Maildir:
    return Maildir(tmp_path / "run" / "queue")


def test_push_get_remove(queue: Maildir) -> None:
    key = queue.push(MESSAGE)
    assert queue.keys() == [key]
    assert queue.count() == 1
    assert queue.get(key) == MESSAGE
    assert queue.remove(key)
    assert not queue.remove(key)
    assert queue.get(key) is None
    assert queue.count() == 0


def test_pop_gives_the_oldest_first(queue: Maildir) -> None:
    keys = [queue.push(b"%d" % number) for number in range(20)]
    assert queue.keys() == keys
    assert [queue.pop() for _ in keys] == [(key, b"%d" % n) for n, key in enumerate(keys)]
    assert queue.pop() is None


def test_what_is_old_expires(queue: Maildir) -> None:
    old, new = queue.push(MESSAGE), queue.push(MESSAGE)
    seconds, _, rest = old.partition(".")
    file = queue.path / "new" / old
    file.rename(file.with_name(f"{int(seconds) - 100}.{rest}"))
    assert queue.expire(int(seconds) - 100) == 0
    assert queue.expire(int(seconds) - 99) == 1
    assert queue.keys() == [new]


def test_clear(queue: Maildir) -> None:
    queue.push(MESSAGE)
    queue.push(MESSAGE)
    assert queue.clear() == 2
    assert queue.clear() == 0


@pytest.mark.parametrize("directory", ["new", "cur"])
def test_what_is_no_file_is_no_message(queue: Maildir, directory: str) -> None:
    odd = queue.path / directory
    (odd / "1.odd").mkdir()
    (odd / "2.odd").symlink_to("nowhere")
    os.mkfifo(odd / "3.odd")
    key = queue.push(MESSAGE)
    assert (queue.keys(), queue.count()) == ([key], 1)
    assert queue.get("1.odd") is None
    assert not queue.remove("1.odd")
    assert queue.pop() == (key, MESSAGE)
    assert queue.pop() is None
    assert queue.clear() == 0
    assert len(list(odd.iterdir())) == 3


def test_fields_are_put_on_top(queue: Maildir) -> None:
    key = queue.push(MESSAGE, {"X-Lamson-Reason": "broken\r\nBcc: x\0" + "y" * 1000, "X-To": "ü"})
    content = queue.get(key)
    assert content is not None
    reason, rest = content.split(b"\r\n ", 1)
    assert reason == b"X-Lamson-Reason: broken Bcc: x"
    assert content.endswith(b"\r\nX-To: \xc3\xbc\r\n" + MESSAGE)
    assert rest.count(b"y") == 500 - len("broken Bcc: x ") + 1  # that of body
    with pytest.raises(ValueError, match="name of a header field"):
        queue.push(MESSAGE, {"X\r\nBcc": "x"})


def test_what_is_too_big_is_refused(tmp_path: Path) -> None:
    queue = Maildir(tmp_path / "queue", max_size=10)
    queue.push(b"x" * 10)
    with pytest.raises(OversizeError, match=f"11 octets is too big for the queue {tmp_path}/queue"):
        queue.push(b"x" * 11)
    assert queue.count() == 1


def test_a_mail_reader_can_use_it(queue: Maildir) -> None:
    first, second = queue.push(b"Subject: one\n\n"), queue.push(b"Subject: two\n\n")
    reader = mailbox.Maildir(queue.path, create=False)
    assert sorted(reader.keys()) == [first, second]
    assert reader[first]["Subject"] == "one"
    seen = reader[first]
    seen.set_subdir("cur")
    seen.add_flag("S")
    reader[first] = seen
    assert [file.name for file in (queue.path / "cur").iterdir()] == [f"{first}:2,S"]
    assert queue.keys() == [first, second]
    assert queue.get(first) == b"Subject: one\n\n"
    assert queue.pop() == (first, b"Subject: one\n\n")


def test_a_message_counts_once_while_a_mail_reader_moves_it(
    queue: Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = queue.push(b"Subject: one\n\n")
    really_list = os.listdir

    def list_and_move(directory: Path) -> list[str]:
        names = really_list(directory)
        if directory.name == "new":
            (directory / key).rename(queue.path / "cur" / f"{key}:2,S")
        return names

    monkeypatch.setattr(os, "listdir", list_and_move)
    assert queue.keys() == [key]


def test_messages_of_other_programs_are_sorted_in_by_their_time(queue: Maildir) -> None:
    key = queue.push(b"ours")
    for name in ("1000.x.host", "9999999999.1_2.host", "strange", ".hidden"):
        (queue.path / "new" / name).write_bytes(name.encode())
    assert queue.keys() == ["strange", "1000.x.host", key, "9999999999.1_2.host"]


def test_keys_never_lead_out_of_the_queue(queue: Maildir, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    for key in ("../../../secret", str(tmp_path / "secret"), "..", "", "new"):
        assert queue.get(key) is None
        assert not queue.remove(key)
    assert (tmp_path / "secret").exists()


def test_a_message_that_vanishes_meanwhile_is_skipped(queue: Maildir) -> None:
    gone, left = queue.push(b"gone"), queue.push(b"left")
    files = queue._files()
    queue.remove(gone)
    with mock.patch.object(Maildir, "_files", return_value=files):
        assert queue.get(gone) is None
        assert not queue.remove(gone)
        assert queue.pop() == (left, b"left")
        assert queue.clear() == 0


def test_names_are_unique_and_fit_for_files(
    queue: Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "a/b:c")
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_000_001_000)
    first, second = queue.push(b"1"), queue.push(b"2")
    assert first != second
    assert first.startswith(f"1700000000.M1P{os.getpid()}Q")
    assert first.endswith(r".a\057b\072c")
    assert queue.keys() == [first, second]


def test_a_safe_push_is_on_the_disk_before_it_returns(queue: Maildir) -> None:
    with mock.patch("os.fsync", wraps=os.fsync) as fsync:
        queue.push(MESSAGE)
        assert fsync.call_count == 2  # the file, then the directory
        Maildir(queue.path, safe=False).push(MESSAGE)
        assert fsync.call_count == 2


def test_a_failed_push_leaves_nothing(queue: Maildir) -> None:
    with mock.patch("os.fsync", side_effect=OSError(28, "No space left")), pytest.raises(OSError):  # noqa: PT011
        queue.push(MESSAGE)
    assert queue.count() == 0
    assert list((queue.path / "tmp").iterdir()) == []


def test_it_is_readable_for_its_owner_alone(queue: Maildir) -> None:
    key = queue.push(MESSAGE)
    assert queue.path.stat().st_mode & 0o777 == 0o700
    assert (queue.path / "new" / key).stat().st_mode & 0o777 == 0o600
    Maildir(queue.path)


def test_a_message_with_the_mark_of_another_replaces_it(tmp_path: Path) -> None:
    queue = Maildir(tmp_path / "queue")
    key = queue.push(b"one", mark="abc")
    assert queue.push(b"two", mark="abc") == key
    (file,) = queue.path.glob("new/*")
    file.rename(queue.path / "cur" / f"{key}:2,S")  # somebody has read it
    assert queue.push(b"three", mark="abc") == key
    assert queue.push(b"four", mark="abcd") != key
    assert [queue.get(one) for one in queue.keys()] == [b"three", b"four"]  # noqa: SIM118
