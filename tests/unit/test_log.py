"""lamson.log"""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lamson import journald, log
from lamson.net import journald as net_journald


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


@pytest.fixture
def objects(file: Path) -> Callable[[], list[dict[str, Any]]]:
    """What stands in a log of JSON."""
    log.configure(file, format="json")

    def objects() -> list[dict[str, Any]]:
        log.flush()
        lines = file.read_text().split("\n")
        assert lines.pop() == ""
        return [json.loads(line) for line in lines]

    return objects


def test_an_event_is_an_object(objects: Callable[[], list[dict[str, Any]]]) -> None:
    log.event("received", "4Qz", sender="a\n\u2028{}<a@b>", size=12, nothing=None, level="x")
    log.logger.error("id=%s recipient=a@b.c: handler %s", "4Qz", "failed\r\nnow")
    try:
        raise ValueError("x\n" * 1000)
    except ValueError:
        log.logger.exception("no mail")
    event, error, raised = objects()
    assert event.pop("time").endswith("+00:00")
    assert event == {
        "id": "4Qz",
        "sender": "a\n\u2028{}<a@b>",
        "size": 12,
        "level": "INFO",
        "logger": "lamson.mail",
        "message": "received",
    }
    assert (error["level"], error["id"], error["recipient"]) == ("ERROR", "4Qz", "a@b.c")
    assert error["message"].startswith("id=4Qz recipient=a@b.c: handler failed\\r")
    assert len(error["time"]) == len("2026-11-22T19:20:01.123+00:00")
    assert raised["message"] == "no mail"
    assert raised["exception"].startswith("Traceback")
    assert len(raised["exception"]) < 10_000


def test_entries_of_the_journal(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a journal would read them; what is too large for a datagram is a sealed file."""
    monkeypatch.setattr(net_journald, "SOCKET", str(tmp_path / "journal"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(tmp_path / "journal"))
        there.settimeout(20)
        log.configure(file, format="journald", connect=net_journald.Journal)
        size = file.stat().st_size
        log.event("received", "4Qz", sender="a\nPRIORITY=0", size=12)
        log.logger.error("id=4Qz: two\nlines")
        event, _, _, _ = socket.recv_fds(there, 65536, 1)
        assert b'MESSAGE=received id=4Qz sender="a\\nPRIORITY=0" size=12\nPRIORITY=6\n' in event
        assert b"LAMSON_EVENT=received\n" in event
        assert b"LAMSON_ID=4Qz\nLAMSON_SENDER\n" + (12).to_bytes(8, "little") in event
        error, _, _, _ = socket.recv_fds(there, 65536, 1)
        text = b"id=4Qz: two\n    lines"
        assert error.startswith(b"MESSAGE\n" + len(text).to_bytes(8, "little") + text + b"\n")
        assert b"\nPRIORITY=3\n" in error
        log.flush()
        entry = journald.entry("x" * 1_000_000, logging.INFO, {})
        sender = net_journald.Journal(str(tmp_path / "journal"))
        sender.send(entry)
        empty, (number,), _, _ = socket.recv_fds(there, 65536, 1)
        assert empty == b""
        with open(number, "rb") as sealed:
            sealed.seek(0)
            assert sealed.read() == entry
            with pytest.raises(PermissionError):
                os.ftruncate(number, 0)
        sender.close()
    assert file.stat().st_size == size
    log.logger.error("nobody hears it")  # and nothing else happens


def test_without_a_journal_the_log_is_text(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net_journald, "SOCKET", str(tmp_path / "journal"))
    log.configure(file, format="journald", connect=net_journald.Journal)
    log.event("received", "4Qz")
    log.flush()
    first, second = file.read_text().splitlines()
    assert 'log_format is "journald", and the journal cannot be reached (' in first
    assert second.endswith(" received id=4Qz")
