"""The report: ratios, goals, the picture, and what happens when a part cannot be measured."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.bench import __main__ as program
from tests.bench import comparison, plot
from tests.bench.comparison import Effort
from tests.bench.load import Load
from tests.bench.measure import Result
from tests.bench.peer import Peer
from tests.bench.report import Goal, Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Missing(Peer):
    name = "missing"

    @classmethod
    def unavailable(cls) -> str | None:
        return "there is none"


def test_a_ratio_is_that_of_the_medians_and_its_spread_that_of_the_rounds() -> None:
    goal = Goal.of_pairs("ours / theirs", [10.0, 20.0, 60.0], [10.0, 10.0, 20.0], 3.0)
    assert str(goal) == "ours / theirs: 2.00 (1.00-3.00), goal ≥ 3: NOT REACHED"
    most = Goal.of_pairs("cost", [1.0], [4.0], 0.25, at_least=False)
    assert most.reached


def test_what_was_promised_is_judged_and_the_rest_is_remarked() -> None:
    section = Section("")
    for peer, rate in (("smtp-sink", 100.0), ("dovecot", 5.0), ("lamson durable", 50.0)):
        section.results.append(Result(peer, "new connections", accepted=[rate]))
    comparison.judge(section, Load("new connections"))
    assert [str(goal) for goal in section.goals] == [
        "lamson durable / smtp-sink, new connections: 0.50 (0.50-0.50), goal ≥ 0.35: reached"
    ]
    assert section.remarks == ["lamson durable / dovecot: 10.00"]


def test_a_peer_that_cannot_run_is_left_out() -> None:
    (section,) = comparison.compare("Title", [Missing], [Load("10 sessions")], Effort())
    assert section.results == []
    assert section.remarks == ["missing was left out: there is none"]


def test_a_part_that_fails_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(loads: Sequence[Load], effort: Effort) -> Iterator[Section]:
        yield Section("Begun")
        raise RuntimeError("it broke")

    def work(loads: Sequence[Load], effort: Effort) -> list[Section]:
        return [Section("Working", goals=[Goal("times", 2.0, goal=1.0)])]

    file = tmp_path / "results.json"
    monkeypatch.setattr(program, "SECTIONS", {"accept": fail, "durable": work})
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--json", str(file)])
    assert program.main() == 1
    assert "it broke" in capsys.readouterr().out
    begun, failed, working = json.loads(file.read_text())["sections"]
    assert begun["title"] == "Begun"
    assert (failed["part"], failed["remarks"]) == ("accept", ["it broke"])
    assert working["goals"][0]["reached"] is True


@pytest.mark.slow
@pytest.mark.usefixtures("_unmeasured")
def test_the_picture_names_peers_loads_and_unit(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install '.[bench]')")
    section = Section("Accepting", part="accept")
    for peer, rate in (("smtp-sink", 20_000.0), ("lamson", 10_000.0)):
        section.results.append(Result(peer, "10 sessions", accepted=[rate, rate * 2, rate]))
    picture = tmp_path / "rates.svg"
    plot.draw({"sections": [section.as_json()]}, picture)
    text = picture.read_text()
    for expected in ("smtp-sink 20,000", "lamson 10,000", "10 sessions", "per second"):
        assert expected in text
    again = tmp_path / "again.svg"
    plot.draw({"sections": [section.as_json()]}, again)
    assert again.read_bytes() == picture.read_bytes()
