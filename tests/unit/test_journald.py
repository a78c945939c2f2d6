"""lamson.journald: whether the journal reads what we write, and what it is told of a line."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lamson import journald

if TYPE_CHECKING:
    from pathlib import Path

WRITING = """
import logging, sys
from pathlib import Path
from lamson import log
log.configure(Path(sys.argv[1]) if sys.argv[1:] else None, level="DEBUG", console=True)
log.event("received", "4Qz")
log.event("accepted", "4Qz")
log.logger.debug("a")
log.logger.warning("b")
try:
    raise ValueError("two\\nlines")
except ValueError:
    log.logger.exception("c")
"""


def stream_of(descriptor: int) -> str:
    status = os.fstat(descriptor)
    return f"{status.st_dev}:{status.st_ino}"


def test_it_reads_what_it_has_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "one").open("w") as one, (tmp_path / "two").open("w") as two:
        monkeypatch.delenv("JOURNAL_STREAM", raising=False)
        assert not journald.is_read_by(one.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", stream_of(one.fileno()))
        assert journald.is_read_by(one.fileno())
        assert not journald.is_read_by(two.fileno()), "redirected, as in a script of a unit"
    assert not journald.is_read_by(1 << 20), "closed"


@pytest.mark.parametrize("nonsense", ["", "8", ":", "x:y", "8:0"])
def test_nonsense_names_nothing(monkeypatch: pytest.MonkeyPatch, nonsense: str) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", nonsense)
    assert not journald.is_read_by(2)


@pytest.mark.parametrize(
    ("level", "marked"),
    [
        (logging.CRITICAL, "<2>a\n<2>    b\n"),
        (logging.ERROR, "<3>a\n<3>    b\n"),
        (logging.WARNING, "<4>a\n<4>    b\n"),
        (25, "<5>a\n<5>    b\n"),
        (logging.INFO, "<6>a\n<6>    b\n"),
        (logging.DEBUG, "<7>a\n<7>    b\n"),
    ],
)
def test_each_line_has_its_priority(level: int, marked: str) -> None:
    assert journald.marked("a\n    b\n", level) == marked
    assert journald.marked("a\n    b", level) == marked.removesuffix("\n")


def written(tmp_path: Path, *arguments: str, is_journal: bool) -> list[str]:
    """What a process with our log writes to its standard error."""
    with (tmp_path / "stderr").open("w") as stderr:
        stream = stream_of(stderr.fileno()) if is_journal else "1:1"
        environment = {**os.environ, "JOURNAL_STREAM": stream}
        command = [sys.executable, "-c", WRITING, *arguments]
        subprocess.run(command, stderr=stderr, env=environment, check=True)
    return (tmp_path / "stderr").read_text().splitlines()


@pytest.mark.parametrize("has_file", [False, True])
def test_the_log_tells_the_journal_what_is_an_error(tmp_path: Path, has_file: bool) -> None:
    arguments = [str(tmp_path / "lamson.log")] if has_file else []
    lines = written(tmp_path, *arguments, is_journal=True)
    by_priority: dict[str, list[str]] = {}
    for line in lines:
        by_priority.setdefault(line[:3], []).append(line[3:])
    assert set(by_priority) == {"<3>", "<4>", "<6>", "<7>"}
    assert [line.split()[1] for line in by_priority["<6>"]] == ["received", "accepted"]
    assert by_priority["<3>"][0].endswith("ERROR lamson: c")
    assert by_priority["<3>"][-2:] == ["    ValueError: two", "    lines"]
    if has_file:
        assert "<" not in "".join(
            line[0] for line in (tmp_path / "lamson.log").read_text().splitlines()
        )


def test_nobody_else_sees_priorities(tmp_path: Path) -> None:
    assert not [line for line in written(tmp_path, is_journal=False) if line.startswith("<")]


def test_why_a_unit_does_not_start_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stderr:
        environment = {**os.environ, "JOURNAL_STREAM": stream_of(stderr.fileno())}
        command = [sys.executable, "-m", "lamson", "start", "-foreground"]
        subprocess.run(command, cwd=tmp_path, stderr=stderr, env=environment, check=False)
    (line,) = (tmp_path / "stderr").read_text().splitlines()
    assert line.startswith(f"<3>lamson: {tmp_path}: no config/settings.py here or above")
