"""lamson.storage.suspects"""

import errno
import os
from pathlib import Path

import pytest

from lamson.storage.suspects import LOOP, ROUTING, InFlight, Suspects

ONE, TWO = b"1" * 32, b"2" * 32


def test_what_was_under_way_is_suspected(tmp_path: Path) -> None:
    in_flight = InFlight(tmp_path, "0")
    in_flight.begin([ONE, TWO])
    worker = Suspects(tmp_path)
    assert worker.deaths(ONE) == 0
    supervisor = Suspects(tmp_path)
    assert supervisor.blame(os.getpid()) == 2
    worker.refresh()
    assert worker.deaths(ONE) == 1
    assert worker.deaths(TWO) == 1
    assert worker.deaths(b"3" * 32) == 0


def test_what_was_done_is_not(tmp_path: Path) -> None:
    in_flight = InFlight(tmp_path, "0")
    in_flight.begin([ONE, TWO])
    in_flight.end()
    in_flight.begin([TWO])
    supervisor = Suspects(tmp_path)
    assert supervisor.blame(os.getpid()) == 1
    assert supervisor.deaths(ONE) == 0


def test_any_number_may_be_under_way(tmp_path: Path) -> None:
    in_flight = InFlight(tmp_path, "0")
    in_flight.begin([ONE])
    in_flight.begin([b"%032d" % number for number in range(1, 1001)])
    assert Suspects(tmp_path).blame(os.getpid()) == 1000


def test_a_full_disk_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    in_flight = InFlight(tmp_path, "0")
    for _ in range(3):
        in_flight.begin([ONE])
        in_flight.end()
    assert caplog.text.count("No space left on device") == 1
    monkeypatch.undo()
    in_flight.begin([ONE])
    assert Suspects(tmp_path).blame(os.getpid()) == 1


def test_deaths_add_up_over_workers_and_restarts(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        InFlight(tmp_path, "0").begin([ONE])
        Suspects(tmp_path).blame(os.getpid())
        worker = Suspects(tmp_path)
        worker.refresh()
        assert worker.deaths(ONE) == expected


def test_every_thread_is_heard(tmp_path: Path) -> None:
    InFlight(tmp_path, "0").begin([ONE])
    InFlight(tmp_path, "1").begin([TWO])
    assert Suspects(tmp_path).blame(os.getpid()) == 2


def test_a_worker_that_ended_well_leaves_nothing(tmp_path: Path) -> None:
    InFlight(tmp_path, "0").begin([ONE])
    suspects = Suspects(tmp_path)
    suspects.forget(os.getpid())
    assert suspects.blame(os.getpid()) == 0
    assert list((tmp_path / "running").iterdir()) == []


def test_a_new_supervisor_blames_nobody_for_the_former_ones_workers(tmp_path: Path) -> None:
    InFlight(tmp_path, "0").begin([ONE])
    supervisor = Suspects(tmp_path)
    supervisor.clear()
    assert supervisor.blame(os.getpid()) == 0


def test_what_cannot_be_noted_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "running"
    place.touch()  # where the directory should be
    in_flight = InFlight(tmp_path, "0")
    for _ in range(3):
        in_flight.begin([ONE])
        in_flight.end()
    assert len(caplog.records) == 1
    assert "Not a directory" in caplog.text or "File exists" in caplog.text
    place.unlink()
    in_flight.begin([ONE])
    assert Suspects(tmp_path).blame(os.getpid()) == 1


def test_a_count_that_cannot_be_kept_stops_no_supervisor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    InFlight(tmp_path, "0").begin([ONE])
    (tmp_path / "suspects.new").mkdir()
    assert Suspects(tmp_path).blame(os.getpid()) == 1
    assert "suspects.json cannot be written" in caplog.text


@pytest.mark.parametrize(
    ("on_loop", "stood_still", "blamed"),
    [
        ([ROUTING], True, set()),
        ([TWO], True, {TWO}),
        ([], True, {ONE}),  # a handler on a thread may hold the interpreter
        ([ROUTING], False, {ONE}),  # it crashed
        ([TWO], False, {ONE, TWO}),
    ],
)
def test_whose_fault_it_is_that_the_loop_stood_still(
    tmp_path: Path, on_loop: list[bytes], stood_still: bool, blamed: set[bytes]
) -> None:
    InFlight(tmp_path, "0").begin([ONE])
    InFlight(tmp_path, LOOP).begin(on_loop)
    suspects = Suspects(tmp_path)
    assert suspects.blame(os.getpid(), stood_still=stood_still) == len(blamed)
    suspects.refresh()
    assert {key for key in (ONE, TWO) if suspects.deaths(key)} == blamed


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 1}', '{"x": ["y", 1]}'])
def test_a_file_that_is_damaged_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    (tmp_path / "suspects.json").write_text(content)
    suspects = Suspects(tmp_path)
    for _ in range(3):
        suspects.refresh()
    assert suspects.deaths(ONE) == 0
    assert caplog.text.count("suspects.json cannot be read") == 1
    InFlight(tmp_path, "0").begin([ONE])
    assert suspects.blame(os.getpid()) == 1  # which makes it anew
    suspects.refresh()
    assert suspects.deaths(ONE) == 1
