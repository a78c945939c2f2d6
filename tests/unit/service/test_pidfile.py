"""Pid files: who holds one, and who does not."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from lamson.errors import UnavailableError
from lamson.service import daemon, pidfile
from lamson.service.daemon import terminate
from lamson.service.pidfile import PidFile, read, read_description

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def pid_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "run" / "server.pid"
    yield path
    assert terminate(path, 60, kill=True)


def test_a_held_file_names_the_process_and_what_it_says(pid_file: Path) -> None:
    with PidFile(pid_file) as held:
        assert (read(pid_file), read_description(pid_file)) == (os.getpid(), "")
        held.describe("listening\non two sockets")
        assert read_description(pid_file) == "listening\non two sockets"
        held.describe("shorter")
        assert pid_file.read_text() == f"{os.getpid()}\nshorter\n"
    assert read(pid_file) is None
    assert not pid_file.exists()


def test_a_second_holder_is_refused_and_told_who_has_it(pid_file: Path) -> None:
    with PidFile(pid_file), pytest.raises(UnavailableError, match=f"running.*{os.getpid()}"):
        PidFile(pid_file).acquire()


def test_a_file_left_by_a_crash_is_stale_whoever_has_the_pid_now(pid_file: Path) -> None:
    pid_file.parent.mkdir()
    pid_file.write_text(f"{os.getppid()}\nlistening\n")
    assert read(pid_file) is None
    assert read_description(pid_file) == ""
    assert terminate(pid_file, 1)
    with PidFile(pid_file):
        assert read(pid_file) == os.getpid()


def test_a_server_of_version_0_1_is_known_by_its_own_kind_of_lock(pid_file: Path) -> None:
    """Whoever installs the new version beside it would lose sight of it, and of its pid."""
    pid_file.parent.mkdir()
    hold = (
        "import fcntl, os, signal, sys; file = open(sys.argv[1], 'w');"
        "fcntl.flock(file, fcntl.LOCK_EX); file.write(f'{os.getpid()}\\nLMTP\\n'); file.flush();"
        "print('held', flush=True); signal.pause()"
    )
    old = subprocess.Popen(
        [sys.executable, "-c", hold, str(pid_file)], stdout=subprocess.PIPE, text=True
    )
    assert old.stdout is not None
    with old, old.stdout as told:
        assert told.readline() == "held\n"
        assert pidfile.read(pid_file) == old.pid
        with pytest.raises(UnavailableError, match=f"already running \\(pid {old.pid}"):
            pidfile.PidFile(pid_file).acquire()
        assert daemon.terminate(pid_file, 30)
        assert old.wait() == -signal.SIGTERM
    assert pidfile.read(pid_file) is None


def test_a_lock_of_flock_alone_makes_no_server(pid_file: Path) -> None:
    """Whoever can read the file has that, and the file may name anybody's process."""
    pid_file.parent.mkdir()
    pid_file.write_text(f"{os.getppid()}\n")
    with pid_file.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert pidfile.read(pid_file) is None
        with pidfile.PidFile(pid_file):
            assert pidfile.read(pid_file) == os.getpid()


def test_a_forked_child_lets_go(pid_file: Path) -> None:
    with PidFile(pid_file) as held:
        child = os.fork()
        if child == 0:
            os._exit(0 if held._descriptor == -1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert read(pid_file) == os.getpid()


def test_readers_never_make_a_server_believe_that_another_runs(pid_file: Path) -> None:
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            read(pid_file)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(300):
            with PidFile(pid_file):
                pass
    finally:
        over.set()
        for reader in readers:
            reader.join()
