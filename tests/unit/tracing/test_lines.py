"""lamson.tracing.lines: logs that were rotated, compressed, cut or written by nobody we know."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from lamson.tracing import lines
from lamson.tracing.lines import LogCommand, LogFile, Wanted

if TYPE_CHECKING:
    from pathlib import Path


def found(path: Path, *ids: str) -> list[bytes]:
    return list(lines.matching(LogFile(path, 0.0), Wanted(ids)))


def test_a_log_and_what_it_was_rotated_to_newest_first(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    for age, name in enumerate(
        ["mail.log", "mail.log.1", "mail.log-20260228", "mail.log.2.gz", "mail.log.3.xz"]
    ):
        path = tmp_path / name
        octets = f"{name} ID\n".encode()
        octets = gzip.compress(octets) if path.suffix == ".gz" else octets
        path.write_bytes(lzma.compress(octets) if path.suffix == ".xz" else octets)
        os.utime(path, (1000 - age, 1000 - age))
    for other in ("mail.log.bak.sh", "mail.logs", "mail.log.1~", "mail"):
        (tmp_path / other).write_text("ID\n")
    os.mkfifo(tmp_path / "mail.log.9")
    sources = lines.files(log)
    wanted = Wanted(["ID"])
    assert [line.decode() for one in sources for line in lines.matching(one, wanted)] == [
        "mail.log ID",
        "mail.log.1 ID",
        "mail.log-20260228 ID",
        "mail.log.2.gz ID",
        "mail.log.3.xz ID",
    ]
    assert lines.files(tmp_path / "nothing") == []
    assert lines.files(tmp_path / "none" / "nothing") == []


def test_what_is_no_line_disturbs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a ID\r\n\0\0\0 ID\n\xe4\xff ID\n" + b"x" * 9000 + b" ID\nb ID\nID cut o")
    first, *others = found(path, "ID")
    assert first == b"a ID"
    assert others[:2] == [b"\0\0\0 ID", b"\xe4\xff ID"]
    assert others[2] == b"x" * lines.LONGEST
    assert others[3:] == [b"b ID", b"ID cut o"]


def test_ids_are_found_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_BLOCK", 7)
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d of ID%d\n" % (n, n % 3) for n in range(30)))
    assert found(path, "ID1") == [b"line %d of ID1" % n for n in range(1, 30, 3)]


def test_a_line_without_end_takes_no_memory() -> None:
    class Endless(io.RawIOBase):
        left = 64

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return b"x" * size if self.left > 0 else (b" ID\nb ID\n" if self.left == 0 else b"")

    tracemalloc.start()
    assert list(lines._scan(Endless(), Wanted(["ID"]))) == [b"b ID"]  # type: ignore[arg-type]
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_a_compressed_log_that_was_cut_gives_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "log.1.gz"
    packed = gzip.compress(
        b"".join(os.urandom(20).hex().encode() + b" ID\n" for _ in range(80_000))
    )
    path.write_bytes(packed[: len(packed) * 3 // 4])
    given: list[bytes] = []
    with pytest.raises(OSError, match="end"):
        given.extend(lines.matching(LogFile(path, 0.0), Wanted(["ID"])))
    assert len(given) > 1000
    path.write_bytes(b"no gzip at all")
    with pytest.raises(OSError, match="gzip"):
        found(path, "ID")


def test_what_is_wanted_may_become_more_and_is_no_expression(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"second\nfirst\nsecond\na.c\nabc\n")
    wanted, seen = Wanted(["first", "a.c"]), []
    for line in lines.matching(LogFile(path, 0.0), wanted):
        seen.append(line)
        wanted.add("second")
    assert seen == [b"first", b"second", b"a.c"]
    path.write_bytes(b'{"sender": "Z\\u00c4D@e.example"}\n{"id": "a\\"b"}\n')
    assert len(list(lines.matching(LogFile(path, 0.0), Wanted(['a"b'], ["zÄd@e.example"])))) == 2
    path.write_bytes(b"x ZED@E.example\n")
    assert list(lines.matching(LogFile(path, 0.0), Wanted((), ["zed@e.example"])))
    assert found(path) == [], "nothing is wanted"


def test_a_program_that_fails_says_so() -> None:
    source = LogCommand(("sh", "-c", "echo ID; exit 3"))
    given: list[bytes] = []
    with pytest.raises(OSError, match="3"):
        given.extend(lines.matching(source, Wanted(["ID"])))
    given = []
    for line in lines.matching(LogCommand(("yes", "ID")), Wanted(["ID"])):  # ended, not waited for
        given.append(line)
        if len(given) == 3:
            break
    assert given == [b"ID"] * 3
