"""A queue of messages as a Maildir, which mutt and any other mail reader can open.

For the messages that could not be delivered (``run/undeliverable``) and for what `lamson log`
catches. A message that `push` returned for is on the disk, whatever happens next. Several processes
may use one queue at once: a message that another one took meanwhile is skipped.

See https://cr.yp.to/proto/maildir.html for the format. OSError passes through: a full disk is the
caller's to answer for.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.message.compose import prepend_headers
from lamson.storage.quota import Quota

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SIZE = 100 * 1024 * 1024  # octets
MAX_VALUE = 500  # characters of the value of an added header field

_SUBDIRECTORIES = ("tmp", "new", "cur")
_OURS = re.compile(r"(\d+)\.M(\d+)P\d+Q(\d+)\.")
_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]+")
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_counter = itertools.count(1)


class OversizeError(LamsonError, ValueError):
    """A message is larger than the queue takes."""

    exit_code = os.EX_DATAERR


class Maildir:
    """The Maildir at ``path``, made where it is missing, readable for its owner alone.

    A key is the name of a message's file without the flags that mail readers add. ``max_size`` is
    in octets. Without ``safe`` nothing is forced to the disk: faster, and lost in a power failure.
    ``quota`` is how many octets all messages may take together.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        max_size: int = MAX_SIZE,
        safe: bool = True,
        quota: int = sys.maxsize,
    ) -> None:
        self.path = Path(path)
        self._quota = Quota(self.path, quota)
        self._has_quota = quota < sys.maxsize
        self.max_size = max_size
        self.safe = safe
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _SUBDIRECTORIES:
            (self.path / name).mkdir(mode=0o700, exist_ok=True)
        if safe:
            _sync(self.path)
            _sync(self.path.parent)

    def push(
        self, content: bytes, headers: Mapping[str, str] | None = None, *, mark: str = ""
    ) -> str:
        """Put a message in, with ``headers`` on top of it; gives its key.

        It replaces one that was put in with the same ``mark`` (letters and digits). A value is made
        one line of at most `MAX_VALUE` characters. Raises OversizeError, QueueFullError, and
        ValueError for what is not the name of a header field.
        """
        if headers:
            fields = [(name, _one_line(value)) for name, value in headers.items()]
            content = prepend_headers(content, fields)
        if len(content) > self.max_size:
            raise OversizeError(
                f"message of {len(content)} octets is too big for the queue {self.path}, "
                f"which takes {self.max_size}"
            )
        if self._has_quota:
            self._quota.check(len(content))
        name = _unique_name(mark)
        temporary = self.path / "tmp" / name
        key, place = self._marked(mark) or (name, self.path / "new" / name)
        try:
            with os.fdopen(os.open(temporary, _CREATE, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                if self.safe:
                    os.fsync(file.fileno())
            temporary.rename(place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if self.safe:
            _sync(place.parent)
        if self._has_quota:
            self._quota.add(len(content))
        return key

    def _marked(self, mark: str) -> tuple[str, Path] | None:
        """Key and file of the message that was put in with that mark.

        The names alone are looked at: there may be hundreds of thousands, and mail waits meanwhile.
        """
        for directory in ("new", "cur") if mark else ():
            for name in os.listdir(self.path / directory):
                if f".D{mark}." in name:
                    return name.partition(":")[0], self.path / directory / name
        return None

    def pop(self) -> tuple[str, bytes] | None:
        """Take the oldest message out: its key and content; None where the queue is empty."""
        for key, file in self._files():
            try:
                content = file.read_bytes()
                file.unlink()  # one taker succeeds
            except FileNotFoundError:
                continue
            self._quota.forget()
            return key, content
        return None

    def get(self, key: str) -> bytes | None:
        """The content of a message; None where there is none of that key."""
        if (file := self._unread(key)) is not None:
            with contextlib.suppress(FileNotFoundError):
                return file.read_bytes()
        for _ in range(2):  # a mail reader may be moving it from new to cur
            for found, file in self._files():
                if found == key:
                    with contextlib.suppress(FileNotFoundError):
                        return file.read_bytes()
        return None

    def remove(self, key: str) -> bool:
        """Delete a message. False where there is none of that key."""
        unread = self._unread(key)
        removed = unread is not None and _unlinked(unread)
        for found, file in () if removed else self._files():
            if found == key:
                removed |= _unlinked(file)
        self._quota.forget()
        return removed

    def _unread(self, key: str) -> Path | None:
        """Its file as it was pushed, so that not all names are read for each of many messages."""
        if not key or key.startswith(".") or not key.isprintable() or {"/", ":"} & {*key}:
            return None
        file = self.path / "new" / key
        return file if file.is_file() else None

    def clear(self) -> int:
        """Delete every message; gives how many there were."""
        number = sum(_unlinked(file) for _, file in self._files())
        self._quota.forget()
        return number

    def expire(self, before: float) -> int:
        """Delete the messages put in before that time (seconds since 1970); gives how many."""
        old = [file for key, file in self._files() if _age(key)[0] < int(before)]
        number = sum(map(_unlinked, old))
        if number:
            self._quota.forget()
        return number

    def count(self) -> int:
        """How many messages there are."""
        return len(self._files())

    def keys(self) -> list[str]:
        """The keys of all messages, oldest first."""
        return [key for key, _ in self._files()]

    def _files(self) -> list[tuple[str, Path]]:
        """Key and file of each message, read ones (``cur``) and unread ones, oldest first.

        One that a mail reader moves to ``cur`` in between is seen twice, and counts once. What is
        no file, such as a directory that somebody made, is no message.
        """
        found: dict[str, Path] = {}
        for directory in ("new", "cur"):
            with os.scandir(self.path / directory) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.is_file():
                        found[entry.name.partition(":")[0]] = self.path / directory / entry.name
        return sorted(found.items(), key=lambda entry: _age(entry[0]))


def _age(key: str) -> tuple[int, int, int, str]:
    """What sorts keys by the time at which they were pushed, those of other programs included."""
    if ours := _OURS.match(key):
        return int(ours[1]), int(ours[2]), int(ours[3]), key
    seconds = key.partition(".")[0]
    return int(seconds) if seconds.isdecimal() and len(seconds) < 20 else 0, 0, 0, key


def _unique_name(mark: str) -> str:
    now = time.time_ns() // 1000
    host = socket.gethostname().replace("/", r"\057").replace(":", r"\072")
    order = f"{now // 1_000_000}.M{now % 1_000_000}P{os.getpid()}Q{next(_counter)}"
    return f"{order}.D{mark}.{host}" if mark else f"{order}.{host}"


def _one_line(value: str) -> str:
    return _UNFIT.sub(" ", value)[:MAX_VALUE]


def _unlinked(file: Path) -> bool:
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _sync(directory: Path) -> None:
    """Force the entries of ``directory`` to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
