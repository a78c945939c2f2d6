"""The report: it has words for all that a long run may find."""

from __future__ import annotations

from collections import Counter

from tests.faults import catalogue, report, timely
from tests.faults.run import Outcome
from tests.faults.tally import Tally
from tests.faults.time_rig import Count
from tests.faults.timely import TimeOutcome


def test_every_mistake_has_a_name() -> None:
    """Else an hour's run ends with a KeyError."""
    mistakes = {mistake for fault in catalogue.FAULTS for mistake in fault.weaknesses}
    mistakes |= {fault.weakness for fault in timely.FAULTS if fault.weakness}
    assert mistakes <= report._WEAKNESSES.keys()


def test_what_a_wrong_lamson_did_is_told_whatever_it_was() -> None:
    fault = next(one for one in catalogue.FAULTS if one.name == "web-killed-before-commit")
    tally = Tally(100, set(), Counter(), {("m", "a")}, set(), 18, 2, 0, set(), set(), 1)
    outcome = Outcome(fault, "sqlite", tally, "3 kept", 2, 2, 0, 65.0, fault.weaknesses[0])
    assert not outcome.is_clean
    *_, line = report.wrong_table([outcome]).splitlines()
    assert line.endswith(
        "| **1** rows of mail that nobody sent, **2** replies of what was not committed, "
        "**18** replies that contradict each other, **1** bounces, 3 kept |"
    )


def test_what_runs_by_time_is_a_line_of_its_own() -> None:
    outcome = TimeOutcome(timely.FAULTS[0], "postgres", timely.EARLY)
    outcome.add(Count({"a", "b"}, set(), set(), set(), set(), {"c"}, False), 60)
    assert outcome.is_noticed
    assert not outcome.is_clean
    head, rule, line = report.time_table([outcome]).splitlines()
    assert head.count("|") == rule.count("|") == line.count("|")
    assert "0 / 1 | 60 | **2** | 0 | 0 | 0 | **1** | 0 | 0 |" in line
