"""lamson.delivery.batches: every delivery gets its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from lamson.delivery import batches
from lamson.delivery.batches import ATTEMPTS, Batches
from lamson.delivery.job import Job
from lamson.smtp.reply import OK
from tests.unit.delivery.jobs import codes
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Transactions:
    """Runs what ``outcome`` says of it; knows how many deliveries were in each."""

    def __init__(self, outcome: Callable[[Sequence[Job]], None]) -> None:
        self.sizes: list[int] = []
        self._outcome = outcome

    def run(self, jobs: Sequence[Job], record: object) -> None:
        self.sizes.append(len(jobs))
        self._outcome(jobs)
        for job in jobs:
            job.reply = OK


def conflict() -> OperationalError:
    cause = Exception("deadlock detected")
    cause.sqlstate = "40P01"  # type: ignore[attr-defined]
    return OperationalError("UPDATE", {}, cause)


def run(outcome: Callable[[Sequence[Job]], None], count: int = 3) -> tuple[list[int], list[int]]:
    transactions: Any = Transactions(outcome)
    jobs = [Job(make_message(), [], None) for _ in range(count)]
    Batches(transactions, lambda job, seconds: None).run(jobs)
    return transactions.sizes, codes(jobs)


def fail_together(jobs: Sequence[Job]) -> None:
    if len(jobs) > 1:
        raise IntegrityError("COMMIT", {}, Exception("a constraint"))


def test_what_fails_together_is_run_one_by_one() -> None:
    assert run(fail_together) == ([3, 1, 1, 1], [250] * 3)


def test_what_there_is_no_time_for_is_answered_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(batches, "RERUN", 0.0)
    assert run(fail_together) == ([3], [451] * 3)
    assert "3 deliveries answered 451: out of time" in caplog.text


def test_a_conflict_is_tried_again_for_some_times(caplog: pytest.LogCaptureFixture) -> None:
    def fail(jobs: Sequence[Job]) -> None:
        raise conflict()

    assert run(fail, 2) == ([2, *[1] * 2 * ATTEMPTS], [451] * 2)
    assert caplog.text.count("in conflict with other deliveries") == 2


@pytest.mark.parametrize("error", [RuntimeError("a bug"), SystemExit(3), OSError("disk")])
def test_nothing_that_is_raised_leaves_a_delivery_without_reply(error: BaseException) -> None:
    def fail(jobs: Sequence[Job]) -> None:
        raise error

    assert run(fail) == ([3], [451] * 3)
