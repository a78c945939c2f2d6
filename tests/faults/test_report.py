"""The report: it has words for all that a long run may find."""

from __future__ import annotations

from tests.faults import catalogue, report, timely
from tests.faults.time_rig import Count
from tests.faults.timely import TimeOutcome


def test_every_mistake_has_a_name() -> None:
    """Else an hour's run ends with a KeyError."""
    mistakes = {mistake for fault in catalogue.FAULTS for mistake in fault.weaknesses}
    mistakes |= {fault.weakness for fault in timely.FAULTS if fault.weakness}
    assert mistakes <= report._WEAKNESSES.keys()


def test_what_runs_by_time_is_a_line_of_its_own() -> None:
    outcome = TimeOutcome(timely.FAULTS[0], "postgres", timely.EARLY)
    outcome.add(Count({"a", "b"}, set(), set(), set(), set(), {"c"}, False), 60)
    assert outcome.is_noticed
    assert not outcome.is_clean
    head, rule, line = report.time_table([outcome]).splitlines()
    assert head.count("|") == rule.count("|") == line.count("|")
    assert "0 / 1 | 60 | **2** | 0 | 0 | 0 | **1** | 0 | 0 |" in line
