"""The benchmark counts what arrived, and runs as a program. Nothing is timed here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import measure, socketmap
from tests.bench.load import LOADS, Load, Sent
from tests.bench.peer import Peer

ROOT = Path(__file__).parents[2]


class Pretender(Peer):
    """Says 250 to everything and keeps ``kept`` of ten messages."""

    name = "pretender"

    def __init__(self, directory: Path, kept: int) -> None:
        super().__init__(directory)
        self.kept = kept
        self.accepted = 0

    def count(self) -> int:
        return self.accepted

    def cpu(self) -> float:
        return 0.0


class Instant(Load):
    """Ten messages a second, by a clock that is not the real one."""

    peer: Pretender

    def run(self, port: int, messages: int) -> Sent:
        self.peer.accepted += messages * self.peer.kept // 10
        return Sent(began=0.0, ended=messages / 10, cpu=0.0)


def measured(directory: Path, kept: int) -> measure.Result:
    load, peer = Instant("instant"), Pretender(directory, kept)
    object.__setattr__(load, "peer", peer)
    (result,) = measure.compare([peer], load, rounds=2, seconds=60.0)
    return result


def test_the_rate_is_what_was_accepted_in_the_time(tmp_path: Path) -> None:
    result = measured(tmp_path / "peer", kept=10)
    assert result.messages == 600
    assert result.accepted == pytest.approx([10.0, 10.0])


def test_too_many_accepted_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="55 accepted where 50 were sent"):
        measured(tmp_path / "peer", kept=11)


@pytest.mark.slow
@pytest.mark.usefixtures("_unmeasured")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_program_measures_the_real_service(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    options = ["--quick", "--rounds", "1", "--seconds", "0.05", "--only", "accept"]
    options += ["--load", "20 recipients", "--json", str(file)]
    subprocess.run([sys.executable, "-m", "tests.bench", *options], cwd=ROOT, check=True)
    (section,) = json.loads(file.read_text())["sections"]
    assert str(LOADS["20 recipients"]) in section["title"]
    results = {result["peer"]: result for result in section["results"]}
    assert {"aiosmtpd", "lamson"} <= results.keys()
    assert all(result["accepted"][0] > 0 for result in results.values())


def test_the_rates_of_lookups_are_compared_round_by_round() -> None:
    section = socketmap._section("Lookups", {"ours": [10.0, 30.0], "peer": [20.0, 20.0]}, "peer")
    assert section.remarks[0].split() == [
        "ours", "20/s", "50000.0", "µs", "each", "1.00", "(0.50-1.50)", "of", "peer",
    ]  # fmt: skip
