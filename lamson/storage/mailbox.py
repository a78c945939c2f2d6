"""Reads the messages of a mailbox, one at a time: a Maildir, or a file in the format mbox.

For the commands that go through heaps of mail. However large the mailbox is, one message is in
memory, and none that is larger than `MAX_SIZE`: of such a one a `Stored` without content is given.
An mbox is read as RFC 4155 and mboxrd have it: a message begins with a line ``From `` at the
beginning or after an empty line, and of lines ``>From `` one ``>`` is taken off. What a mail reader
moves or deletes meanwhile is skipped, and so is a link in a Maildir: others may write there, and
what it leads to they may be unable to read.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.storage.maildir import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

_MOST = 65536  # octets that are read of a line at a time
_QUOTED = re.compile(rb">+From ")


@dataclass(frozen=True, slots=True)
class Stored:
    """A message: ``name`` says where it is, ``octets`` are how much of the mailbox it takes.

    ``content`` is None where it is larger than `MAX_SIZE`, or cannot be read. ``sender`` is what an
    mbox says of its envelope, None where nothing does.
    """

    name: str
    content: bytes | None
    octets: int
    sender: str | None = None


def messages(path: Path, max_size: int = MAX_SIZE) -> Iterator[Stored]:
    """Those of the Maildir or mbox at ``path``, a Maildir's in no order.

    Raises LamsonError where there is none, or it cannot be read.
    """
    try:
        if is_maildir(path):
            yield from _of_maildir(path, max_size)
        elif path.is_dir():
            problem = f"{path}: no Maildir: expected directories new and cur in it"
            raise LamsonError(problem, exit_code=os.EX_DATAERR)
        else:
            with path.open("rb") as file:
                yield from _of_mbox(file, path, max_size)
    except OSError as error:
        raise LamsonError(
            f"{error.filename or path}: {error.strerror}", exit_code=os.EX_NOINPUT
        ) from None


def size(path: Path) -> int:
    """What the `Stored.octets` of all messages add up to, or 0 where that cannot be told."""
    try:
        if not is_maildir(path):
            return path.stat().st_size
        return sum(entry.stat(follow_symlinks=False).st_size for entry in _entries(path))
    except OSError:
        return 0


def is_maildir(path: Path) -> bool:
    return (path / "new").is_dir() or (path / "cur").is_dir()


def _entries(path: Path) -> Iterator[os.DirEntry[str]]:
    for name in ("new", "cur"):
        if (path / name).is_dir():
            with os.scandir(path / name) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                        yield entry


def _of_maildir(path: Path, max_size: int) -> Iterator[Stored]:
    for entry in _entries(path):
        try:
            octets = entry.stat(follow_symlinks=False).st_size
            content = None
            if octets <= max_size:
                with open(entry.path, "rb", opener=_no_link) as file:
                    content = file.read(max_size)
        except FileNotFoundError:
            continue
        except PermissionError:
            content = None
        except OSError as error:
            if error.errno == errno.ELOOP:  # it has become a link just now
                continue
            raise
        yield Stored(entry.name.partition(":")[0], content, octets)


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)  # nor wait for a pipe's other end


def _of_mbox(file: BinaryIO, path: Path, max_size: int) -> Iterator[Stored]:
    line = file.readline(_MOST)
    if line and not line.startswith(b"From "):
        problem = f"{path}: neither a Maildir nor an mbox, whose first line begins with 'From '"
        raise LamsonError(problem, exit_code=os.EX_DATAERR)
    number = 0
    while line:
        number += 1
        begun = line
        octets, read, line = _one(file, max_size)
        content = bytes(read) if octets <= max_size else None
        yield Stored(f"{path.name}:{number}", content, octets + len(begun), _sender(begun))


def _one(file: BinaryIO, max_size: int) -> tuple[int, bytearray, bytes]:
    """The size and octets of one message, and the line that begins the next (b"" at the end)."""
    octets, read = 0, bytearray()
    ending = 0  # octets of the line before
    is_begun, is_empty = True, False  # a line; and the one before had nothing in it
    while line := file.readline(_MOST):
        if is_begun and is_empty and line.startswith(b"From "):
            if read:
                del read[-ending:]  # the empty line belongs to the mailbox
            break
        is_empty = is_begun and line in (b"\n", b"\r\n")
        if is_begun and _QUOTED.match(line):
            line = line[1:]
        is_begun = line.endswith(b"\n")
        octets += len(line)
        ending = len(line)
        if octets <= max_size:
            read += line
        else:
            read.clear()
    return octets, read, line


def _sender(line: bytes) -> str | None:
    word = line[5:].split(b" ", 1)[0].strip().decode("utf-8", "replace")
    if word == "MAILER-DAEMON":
        return ""
    return word if "@" in word else None
