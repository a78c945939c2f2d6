"""How much a queue of messages may take on the disk, shared by all processes that use it.

The count is kept in the Maildir itself, in a file ``maildirsize`` as other programs keep it: a
first line with the quota, then one line for each message, whose numbers add up. So a message costs
a short read and an append, and no look at the directory. The file is counted anew where it is
missing (what takes messages out removes it), has grown long, or says that the queue is full.
Several processes may pass the limit by a message each; what a crash leaves out is found by the next
count.

See https://www.courier-mta.org/imap/README.maildirquota.html for the format.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from lamson import log

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 4096  # octets: a file takes whole ones, so that the number of files is bounded as well
RECOUNT = 10.0  # seconds between counts of a queue that is full
COMPLAIN = 60.0  # seconds between log lines that it is
_LONG = 16 * 1024  # octets of the file
_NAME = "maildirsize"


class QueueFullError(OSError):
    """The queue has no room for a message."""


class Quota:
    """At most ``limit`` octets in the Maildir at ``path``, as one process sees it."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._file = path / _NAME
        self._limit = limit
        self._counted_at = -RECOUNT
        self._complained_at = -COMPLAIN

    def check(self, octets: int) -> None:
        """Raise QueueFullError where a message has no room; logged at most once a minute."""
        cost = _cost(octets)
        used = self._used()
        if used + cost > self._limit and time.monotonic() >= self._counted_at + RECOUNT:
            used = self._count()
        if used + cost <= self._limit:
            return
        problem = f"it is full, with {used} of {self._limit} octets, and {cost} are to be kept"
        if time.monotonic() >= self._complained_at + COMPLAIN:
            self._complained_at = time.monotonic()
            log.logger.error(
                "%s: %s; what is to be kept there has to wait: `lamson queue -name %s` shows what "
                "is there, and removes it",
                self._path,
                problem,
                self._path,
            )
        raise QueueFullError(errno.EDQUOT, problem, str(self._path))

    def add(self, octets: int) -> None:
        """A message was put in."""
        with suppress(FileNotFoundError):  # something was taken out at this moment
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"%d 1\n" % _cost(octets))
            finally:
                os.close(descriptor)

    def forget(self) -> None:
        """Messages were taken out."""
        with suppress(FileNotFoundError):
            self._file.unlink()

    def _used(self) -> int:
        try:
            first, *lines = self._file.read_bytes().splitlines()
            if first == self._first and sum(map(len, lines)) < _LONG:
                return sum(int(line.split()[0]) for line in lines)
        except (FileNotFoundError, ValueError, IndexError):
            pass
        return self._count()

    def _count(self) -> int:
        self._counted_at = time.monotonic()
        octets = files = 0
        for directory in ("new", "cur"):
            with os.scandir(self._path / directory) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # taken out meanwhile
                        octets += _cost(entry.stat(follow_symlinks=False).st_size)
                        files += 1
        # Two threads may count at a time.
        new = self._path / "tmp" / f"{_NAME}.{os.getpid()}.{threading.get_ident()}"
        new.write_bytes(b"%s\n%d %d\n" % (self._first, octets, files))
        new.replace(self._file)
        return octets

    @property
    def _first(self) -> bytes:
        return b"%dS" % self._limit


def _cost(octets: int) -> int:
    return -(-octets // BLOCK) * BLOCK
