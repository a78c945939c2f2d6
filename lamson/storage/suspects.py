"""Which deliveries were under way when a worker died, and which of them to suspect.

A message can kill the process that handles it, again and again: Postfix retries, and the service
would go down each time. So each thread of the dispatcher writes into a file what it runs; when a
worker dies, its supervisor counts that against those deliveries. A suspect runs in a transaction of
its own from then on, and beside no other suspect, so that its neighbours are not counted with it
again; after `TOO_OFTEN` deaths it is kept in ``run/undeliverable`` instead of being run. The files
lie in the run directory and are mapped into memory: they outlive the worker, and writing costs no
system call. Their room on the disk is taken beforehand; where there is none that is logged, and a
death is counted against nobody.

A worker whose loop stood still is ended by its supervisor: then the loop's own file tells. What it
ran itself is to blame alone; where it looked for a route, nobody is: a stranger can make that last
for ever, as often as he likes, while a bystander's mail is handled.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import time
import zlib
from typing import TYPE_CHECKING

from lamson import log

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TOO_OFTEN = 5  # deaths
REMEMBER = 7 * 24 * 3600.0  # seconds: longer than Postfix's maximal_queue_lifetime by default
_KEY_SIZE = 32  # octets
_NO_KEY = bytes(_KEY_SIZE)  # stands behind the last key
LOOP = "loop"  # the name of what the loop has in flight
ROUTING = b"\xff" * _KEY_SIZE  # what is in flight there while a route is looked for
_PREFIX = 1024  # octets that are summed up; that of 50 MB would hold up the loop


class InFlight:
    """What one thread runs at this moment, in a file of its own."""

    def __init__(self, run_dir: Path, name: str) -> None:
        self._path = _directory_of(run_dir, os.getpid()) / name
        self._map: mmap.mmap | None = None
        self._size = 0
        self._is_failing = False

    def begin(self, keys: Iterable[bytes]) -> None:
        """Write down that the deliveries called ``keys`` are run."""
        text = b"".join(keys) + _NO_KEY
        size = len(text)
        if size > self._size:
            self._grow(size)
        if self._map is not None and size <= self._size:
            self._map[:size] = text

    def end(self) -> None:
        """Write down that they are done."""
        if self._map is not None:
            self._map[:_KEY_SIZE] = _NO_KEY

    def _grow(self, size: int) -> None:
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                # Writing to memory that the disk has no room for would kill the process.
                os.posix_fallocate(file, 0, size)
                self._map, self._size = mmap.mmap(file, size), size
            finally:
                os.close(file)
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                log.logger.error("what is under way cannot be noted in %s: %s", self._path, error)
            self._is_failing = True


class Suspects:
    """The deliveries that were under way when a worker died, and how often."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._file = run_dir / "suspects.json"
        self._version: tuple[int, int] | None = None
        self._counts: dict[str, tuple[int, float]] = {}

    def deaths(self, key: bytes) -> int:
        """How many workers died over this delivery, as far as `refresh` knows."""
        return self._counts[key.hex()][0] if self._counts and key.hex() in self._counts else 0

    def refresh(self) -> None:
        """Take in what the supervisor has written since."""
        try:
            status = os.stat(self._file)
            version = (status.st_ino, status.st_mtime_ns)
            if version != self._version:
                text = self._file.read_text(encoding="ascii", errors="replace")
                self._version = version
                loaded = json.loads(text)
                self._counts = {key: (int(count), float(at)) for key, (count, at) in loaded.items()}
        except OSError:
            return  # none are known, or no more than before
        except (ValueError, TypeError, AttributeError) as error:
            log.logger.error("%s cannot be read, remove it: %s", self._file, error)

    def blame(self, pid: int, *, stood_still: bool = False) -> int:
        """In the supervisor: count the death of worker ``pid``; gives how many are suspected.

        ``stood_still`` says that its loop did, and that it was killed for that.
        """
        directory = _directory_of(self._run_dir, pid)
        keys: set[str] = set()
        try:
            for file in directory.iterdir():
                found = _keys_in(file.read_bytes())
                if stood_still and found and file.name == LOOP:
                    keys = found
                    break
                keys |= found
        except FileNotFoundError:
            pass  # it had nothing under way yet
        except OSError as error:
            log.logger.error("what worker %d had under way cannot be read: %s", pid, error)
        self.forget(pid)
        keys.discard(ROUTING.hex())
        if keys:
            try:
                self._count(keys)
            except OSError as error:
                log.logger.error("%s cannot be written: %s", self._file, error)
        return len(keys)

    def clear(self) -> None:
        """In the supervisor, at the start: drop what workers of a former one had in flight.

        Whoever gets one of their pids would be blamed for what they did.
        """
        shutil.rmtree(self._run_dir / "running", ignore_errors=True)

    def forget(self, pid: int) -> None:
        """In the supervisor: drop what a worker had in flight that ended as it should."""
        shutil.rmtree(_directory_of(self._run_dir, pid), ignore_errors=True)

    def _count(self, keys: set[str]) -> None:
        self.refresh()
        now = time.time()
        counts = {key: one for key, one in self._counts.items() if now - one[1] < REMEMBER}
        for key in keys:
            counts[key] = (counts.get(key, (0, now))[0] + 1, now)
        temporary = self._file.with_suffix(".new")
        with temporary.open("w", encoding="ascii") as file:
            json.dump(counts, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._file)


def _keys_in(text: bytes) -> set[str]:
    keys = set()
    for at in range(0, len(text), _KEY_SIZE):
        key = text[at : at + _KEY_SIZE]
        if key == _NO_KEY:
            break
        keys.add(key.hex())
    return keys


def _directory_of(run_dir: Path, pid: int) -> Path:
    return run_dir / "running" / str(pid)


def crash_key(sender: str, recipient: str, content: bytes) -> bytes:
    """What a crash is counted against where nothing identifies the queue entry; 32 octets."""
    envelope = f"{sender} {recipient}".encode()
    return b"%08x%08x%016x" % (
        zlib.crc32(content[:_PREFIX]),
        zlib.crc32(envelope),
        len(content),
    )
