"""lamson.log"""

import logging
import subprocess
import sys
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
