"""lamson.service.lock"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from lamson.service import lock

if TYPE_CHECKING:
    from pathlib import Path


def test_another_process_is_named_and_is_gone_with_its_lock(tmp_path: Path) -> None:
    file = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"+" if lock.take(file) else b"-")
        signal.pause()
        os._exit(0)
    assert os.read(reading, 1) == b"+"
    assert not lock.take(file)
    assert lock.holder(file) == child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert lock.holder(file) is None
    assert lock.take(file)
    for descriptor in (file, reading, writing):
        os.close(descriptor)


def test_a_child_has_not_its_parents_lock(tmp_path: Path) -> None:
    file = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    assert lock.take(file)
    child = os.fork()
    if child == 0:
        os._exit(0 if lock.holder(file) == os.getppid() and not lock.take(file) else 1)
    assert os.waitpid(child, 0)[1] == 0
    os.close(file)
