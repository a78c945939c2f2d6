"""lamson.log"""

import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamson import log


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for handler in handlers:
        root.removeHandler(handler)
    path = tmp_path / "logs" / "lamson.log"
    log.configure(path)
    yield path
    log.configure(None)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


def test_an_event_is_one_line(file: Path) -> None:
    log.event("received", "4Qz", sender="<a@b>", size=12, nothing=None)
    assert file.read_text() == ""
    log.flush()
    line = file.read_text()
    assert line.endswith(" received id=4Qz sender=<a@b> size=12\n")
    assert line.startswith("20")


def test_a_value_cannot_forge_a_line(file: Path) -> None:
    log.event("received", "1", sender='a\n2026 refused id=1 "x"', empty="")
    log.flush()
    (line,) = file.read_text().splitlines()
    assert line.endswith(r'sender="a\n2026 refused id=1 \"x\"" empty=""')


def test_no_line_takes_a_descriptor() -> None:
    """A codec is a module, which is read from a file when it is first used."""
    imported = "import sys, lamson.log; print('encodings.unicode_escape' in sys.modules)"
    line = [sys.executable, "-c", imported]
    assert subprocess.run(line, capture_output=True, check=True).stdout == b"True\n"


def test_a_traceback_cannot_forge_a_line(file: Path) -> None:
    forged = "2026-11-28T20:00:00.000+00:00 submitted id=4jcFORGED"
    for break_ in ("\n", "\r", "\x85", "\u2028", "\x0b"):
        try:
            raise ValueError(f"cannot understand{break_}{forged}\x1b[2J\u202e")
        except ValueError:
            log.logger.exception("handler failed: x%s%s", break_, forged)
    log.logger.error("one%stwo", "\n")
    first, *_ = lines = file.read_text().split("\n")
    assert " ERROR lamson: handler failed: x" in first
    assert [line for line in lines if line.startswith("2026-11-28")] == []
    assert len(file.read_text().splitlines()) == len(lines) - 1, "no other line ends"
    assert all(line.isprintable() for line in lines)
    assert r"    ValueError: cannot understand\u2028" + forged + r"\x1b[2J\u202e" in lines
    assert lines[-3:] == [lines[-3], "    two", ""]


def test_a_long_text_is_cut(file: Path) -> None:
    log.logger.error("%s", "x" * 100_000)
    log.logger.error("%s", "x\n" * 100_000)
    assert len(file.read_text()) < 10_000
    assert " characters)\n" in file.read_text()


def test_the_file_is_for_its_user(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    shared = file.parent.parent / "shared"
    shared.mkdir()
    shared.chmod(0o2750)
    log.configure(shared / "lamson.log")
    assert (shared / "lamson.log").stat().st_mode & 0o777 == 0o640


def test_what_nobody_catches_is_logged(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    log.take_in_the_rest()
    try:
        thread = threading.Thread(target=int, args=("not\na number",))
        thread.start()
        thread.join()
    finally:
        logging.captureWarnings(False)
    assert "ERROR lamson: not caught\n    Traceback" in file.read_text()


def test_events_and_records_keep_their_order(file: Path) -> None:
    log.event("received", "1")
    log.logger.error("broken")
    log.event("handled", "1")
    log.flush()
    words = [line.split()[1] for line in file.read_text().splitlines()]
    assert words == ["received", "ERROR", "handled"]


def test_the_file_may_be_rotated(file: Path) -> None:
    log.event("received", "1")
    log.flush()
    file.rename(file.with_suffix(".1"))
    log.event("received", "2")
    log.flush()
    assert "id=2" in file.read_text()


def test_unconfigured_events_go_to_the_logger(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "lamson.mail"):
        log.event("received", "1", size=2)
    assert caplog.messages == ["received id=1 size=2"]


@pytest.mark.usefixtures("file")
def test_a_full_disk_stops_no_mail() -> None:
    log.configure(Path("/dev/full"))
    for _ in range(3):
        log.event("received", "4Qz")
        log.flush()
        log.logger.error("it is full")


def test_a_log_whose_directory_is_gone_is_written_when_it_is_back(file: Path) -> None:
    gone = file.parent.with_name("gone")
    file.parent.rename(gone)
    log.event("received", "lost")
    log.flush()
    log.logger.error("lost as well")
    gone.rename(file.parent)
    log.event("received", "found")
    log.flush()
    assert file.read_text().endswith(" received id=found\n")
