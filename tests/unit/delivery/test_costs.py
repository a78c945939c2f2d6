"""lamson.delivery.costs"""

from pathlib import Path

from lamson.delivery.costs import INSTANT, QUICK, Costs
from lamson.delivery.job import Job
from tests.unit.support import make_message, make_router

HANDLERS = """
    @route("free@(host)")
    @stateless
    def FREE(message, host):
        pass

    @route("(user)@(host)")
    def START(message, user, host):
        pass
"""


def make_job(directory: Path, recipient: str) -> Job:
    return Job(make_message(), make_router(directory, HANDLERS).match(recipient), None)


def test_a_handler_that_is_not_known_is_slow(tmp_path: Path) -> None:
    costs, job = Costs(), make_job(tmp_path, "a@test.com")
    assert not costs.is_quick(job)
    assert not costs.is_instant(job)


def test_a_first_slow_run_is_enough(tmp_path: Path) -> None:
    costs, job = Costs(), make_job(tmp_path, "a@test.com")
    costs.record(job, QUICK)
    assert not costs.is_quick(job)


def test_one_slow_run_among_quick_ones_may_be_the_machines(tmp_path: Path) -> None:
    costs, job = Costs(), make_job(tmp_path, "free@test.com")
    for seconds in [0.0, 2 * QUICK, 0.0, 0.0, 0.0, 0.0, 0.0, 2 * QUICK]:
        costs.record(job, seconds)
        assert costs.is_quick(job)


def test_one_very_slow_run_is_not(tmp_path: Path) -> None:
    costs, job = Costs(), make_job(tmp_path, "a@test.com")
    costs.record(job, 0.0)
    costs.record(job, 10 * QUICK)
    assert not costs.is_quick(job)


def test_slowness_is_learnt_at_the_second_run_and_quickness_little_by_little(
    tmp_path: Path,
) -> None:
    costs, job = Costs(), make_job(tmp_path, "a@test.com")
    costs.record(job, 0.0)
    assert costs.is_quick(job)
    costs.record(job, 2 * QUICK)
    costs.record(job, 2 * QUICK)
    assert not costs.is_quick(job)
    runs = 0
    while not costs.is_quick(job):
        costs.record(job, 0.0)
        runs += 1
    assert 1 < runs < 20


def test_one_slow_handler_makes_a_delivery_slow(tmp_path: Path) -> None:
    both = make_job(tmp_path, "free@test.com")
    costs = Costs()
    costs.record(both, 0.0)
    for _ in range(2):
        costs.record(Job(both.message, both.matches[1:], None), QUICK)
    assert not costs.is_quick(both)
    assert costs.is_quick(Job(both.message, both.matches[:1], None))


def test_no_handler_with_states_is_instant(tmp_path: Path) -> None:
    both = make_job(tmp_path, "free@test.com")
    free = Job(both.message, both.matches[:1], None)
    costs = Costs()
    costs.record(both, 0.0)
    assert costs.is_instant(free)
    assert not costs.is_instant(both)
    costs.record(free, INSTANT)
    costs.record(free, INSTANT)
    assert not costs.is_instant(free)
