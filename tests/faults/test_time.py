"""Faults of what runs by time, in a short form, as in `test_faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import timely

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.fault import Kind
    from tests.faults.timely import TimeFault
    from tests.postgres import PostgresInstance

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("_unmeasured"),
]


def _case(fault: TimeFault, kind: Kind) -> object:
    marks = [pytest.mark.postgres] if kind == "postgres" else []
    return pytest.param(fault, kind, id=f"{fault.name}-{kind}", marks=marks)


def _clean_cases() -> list[object]:
    """Each on one of its databases, by turns."""
    return [
        _case(fault, fault.databases[number % len(fault.databases)])
        for number, fault in enumerate(timely.FAULTS)
    ]


def _wrong_cases() -> list[object]:
    """The first fault that each weakness is for."""
    first = {fault.weakness: fault for fault in reversed(timely.FAULTS) if fault.weakness}
    return [_case(fault, fault.databases[0]) for fault in first.values()]


def _server(kind: Kind, request: pytest.FixtureRequest) -> PostgresInstance | None:
    return request.getfixturevalue("postgres") if kind == "postgres" else None


@pytest.mark.parametrize(("fault", "kind"), _clean_cases())
def test_nothing_is_lost_and_nothing_happens_twice(
    fault: TimeFault, kind: Kind, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    outcome = timely.run(fault, tmp_path, _server(kind, request))
    assert outcome.is_clean, outcome


@pytest.mark.parametrize(("fault", "kind"), _wrong_cases())
def test_the_count_notices_a_lamson_that_is_wrong(
    fault: TimeFault, kind: Kind, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    outcome = timely.run_wrong(fault, tmp_path, _server(kind, request))
    assert outcome.is_noticed, outcome
