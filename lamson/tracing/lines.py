"""Lines of logs: of a file, of those that it was rotated to, and of the journal of systemd.

A log is read in blocks, however large it is, and only lines with what is looked for are cut out of
them. What is no line of a log (NUL, octets of no charset, a line without end, half of one at the
end of a file) is neither an error nor kept in memory.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import stat
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

LONGEST = 8192  # octets of a line that are looked at
_BLOCK = 1 << 20
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_ROTATED = re.compile(r"[.-](\d[\d.-]*|old)(\.(gz|bz2|xz))?")
_BROKEN = (OSError, EOFError, lzma.LZMAError)  # a file that was cut off while it was compressed


class Wanted:
    """What is looked for, which may become more meanwhile: ids, and addresses in any case.

    Each as it is, and as it stands in JSON.
    """

    def __init__(self, ids: Iterable[str], addresses: Iterable[str] = ()) -> None:
        self.ids = dict.fromkeys(ids)
        self._addresses = tuple(addresses)
        self._make()

    def add(self, id: str) -> None:
        if id and id not in self.ids:
            self.ids[id] = None
            self._make()

    def _make(self) -> None:
        words = [word for one in self.ids for word in _spellings(one)]
        words += [b"(?i:%s)" % word for one in self._addresses for word in _spellings(one)]
        self.pattern = re.compile(b"|".join(words) if words else b"(?!)")


def _spellings(text: str) -> list[bytes]:
    plain = re.escape(text.encode("utf-8", "surrogatepass"))
    in_json = re.escape(json.dumps(text)[1:-1].encode("ascii"))
    return list(dict.fromkeys((plain, in_json)))


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log in the file system; ``written_at`` is when it was written last."""

    path: Path
    written_at: float

    def __str__(self) -> str:
        return str(self.path)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        opener = _OPENERS.get(self.path.suffix, open)
        with opener(self.path, "rb") as file:
            yield file


@dataclass(frozen=True, slots=True)
class LogCommand:
    """A program that writes a log to its standard output, as journalctl(1) does."""

    command: tuple[str, ...]
    written_at: float = float("inf")

    def __str__(self) -> str:
        return " ".join(self.command)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        try:
            yield process.stdout
            if process.wait():
                raise OSError(f"it ended with {process.returncode}")
        finally:
            process.stdout.close()
            process.kill()
            process.wait()


LogSource = LogFile | LogCommand


def files(path: Path) -> list[LogFile]:
    """The log at ``path`` and what it was rotated to, newest first.

    Raises OSError where there is a file that cannot be looked at; gives nothing where there is
    none.
    """
    found = []
    directory = path.parent
    for entry in os.scandir(directory) if directory.is_dir() else ():
        rest = entry.name.removeprefix(path.name)
        is_it = entry.name == path.name
        if is_it or (rest != entry.name and _ROTATED.fullmatch(rest)):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode):
                found.append(LogFile(directory / entry.name, status.st_mtime))
    return sorted(found, key=lambda one: one.written_at, reverse=True)


def matching(source: LogSource, wanted: Wanted) -> Iterator[bytes]:
    """The lines of ``source`` with what is ``wanted`` at that moment, without their ends.

    Raises OSError where it cannot be read, or not to its end: what was read by then was given.
    """
    try:
        with source.open() as file:
            yield from _scan(file, wanted)
    except _BROKEN as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        raise OSError(str(error) or type(error).__name__) from error


def _scan(file: IO[bytes], wanted: Wanted) -> Iterator[bytes]:
    rest, is_cut = b"", False
    while block := file.read(_BLOCK):
        if is_cut:  # the end of a line that was too long
            end = block.find(b"\n")
            if end < 0:
                continue
            block, is_cut = block[end:], False
        block = rest + block
        end = block.rfind(b"\n") + 1
        yield from _found(block, end, wanted)
        rest = block[end:]
        if len(rest) > LONGEST:
            rest, is_cut = rest[:LONGEST], True
    yield from _found(rest, len(rest), wanted)


def _found(block: bytes, end: int, wanted: Wanted) -> Iterator[bytes]:
    at = 0
    while found := wanted.pattern.search(block, at, end):
        begin = block.rfind(b"\n", 0, found.start()) + 1
        stop = block.find(b"\n", found.end(), end)
        stop = end if stop < 0 else stop
        yield block[begin : min(stop, begin + LONGEST)].rstrip(b"\r")
        at = stop + 1


def journal_of(match: Sequence[str], form: str) -> LogCommand:
    """What the journal of systemd has of whoever ``match`` tells."""
    return LogCommand(("journalctl", "--quiet", "--no-pager", "-o", form, *match))
