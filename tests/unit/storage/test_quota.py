"""lamson.storage.quota, as the Maildir uses it."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lamson.storage import quota
from lamson.storage.maildir import Maildir
from lamson.storage.quota import BLOCK, QueueFullError

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = b"x" * (BLOCK + 1)  # takes two blocks


def make(directory: Path, blocks: int) -> Maildir:
    return Maildir(directory / "queue", quota=blocks * BLOCK, safe=False)


def test_a_full_queue_takes_nothing_and_has_one_line_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue = make(tmp_path, 5)
    queue.push(MESSAGE)
    queue.push(MESSAGE)
    for _ in range(3):
        with pytest.raises(QueueFullError) as caught:
            queue.push(MESSAGE)
    assert caught.value.errno == errno.EDQUOT
    assert (queue.count(), len(caplog.records)) == (2, 1)
    queue.push(b"x")
    assert queue.count() == 3


@pytest.mark.parametrize("way", ["pop", "remove", "clear"])
def test_what_is_taken_out_makes_room_at_once(tmp_path: Path, way: str) -> None:
    """Also where another process does it."""
    queue, other = make(tmp_path, 2), Maildir(tmp_path / "queue")
    key = queue.push(MESSAGE)
    with pytest.raises(QueueFullError):
        queue.push(MESSAGE)
    {"pop": other.pop, "remove": lambda: other.remove(key), "clear": other.clear}[way]()
    queue.push(MESSAGE)


def test_what_a_mail_reader_deletes_makes_room_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make(tmp_path, 2)
    key = queue.push(MESSAGE)
    with pytest.raises(QueueFullError):
        queue.push(MESSAGE)
    (queue.path / "new" / key).unlink()
    monkeypatch.setattr(quota, "RECOUNT", 0.0)
    queue.push(MESSAGE)


def test_processes_share_the_count_and_do_not_look_at_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(tmp_path, 4), make(tmp_path, 4)
    first.push(MESSAGE)
    with monkeypatch.context() as patch:
        patch.setattr("lamson.storage.quota.os.scandir", lambda path: pytest.fail("a scan"))
        second.push(MESSAGE)
    with pytest.raises(QueueFullError):
        first.push(MESSAGE)


@pytest.mark.parametrize("content", [b"", b"junk", b"1S\n5 1\n", b"8192S\nx 1\n"])
def test_a_count_that_is_not_ours_is_made_anew(tmp_path: Path, content: bytes) -> None:
    queue = make(tmp_path, 2)
    (queue.path / "maildirsize").write_bytes(content)
    queue.push(MESSAGE)
    with pytest.raises(QueueFullError):
        queue.push(b"x")


def test_a_long_count_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "_LONG", 30)
    queue = make(tmp_path, 100)
    for _ in range(20):
        queue.push(b"x")
    assert len((queue.path / "maildirsize").read_bytes().splitlines()) < 8
    assert queue.count() == 20


def test_threads_that_count_at_a_time_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make(tmp_path, 100)
    both = threading.Barrier(2, timeout=60)
    write = type(tmp_path).write_bytes

    def write_and_wait(path: Path, content: bytes) -> int:
        written = write(path, content)
        both.wait()
        return written

    monkeypatch.setattr(type(tmp_path), "write_bytes", write_and_wait)
    with ThreadPoolExecutor(2) as pool:
        assert all(list(pool.map(queue.push, [MESSAGE, MESSAGE])))
