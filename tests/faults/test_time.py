"""Faults of what runs by time, in a short form; `make faults` has all in the long one."""

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


def _cases(*, wrong: bool = False) -> list[object]:
    """A wrong Lamson is found out on one database: what it does wrong is the same on the other."""
    return [
        pytest.param(
            fault,
            kind,
            id=f"{fault.name}-{kind}",
            marks=[pytest.mark.postgres] if kind == "postgres" else [],
        )
        for fault in timely.FAULTS
        if fault.weakness or not wrong
        for kind in (fault.databases[:1] if wrong else fault.databases)
    ]


def _server(kind: Kind, request: pytest.FixtureRequest) -> PostgresInstance | None:
    return request.getfixturevalue("postgres") if kind == "postgres" else None


@pytest.mark.parametrize(("fault", "kind"), _cases())
def test_nothing_is_lost_and_nothing_happens_twice(
    fault: TimeFault, kind: Kind, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    outcome = timely.run(fault, tmp_path, _server(kind, request))
    assert outcome.is_clean, outcome


@pytest.mark.parametrize(("fault", "kind"), _cases(wrong=True))
def test_the_count_notices_a_lamson_that_is_wrong(
    fault: TimeFault, kind: Kind, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    outcome = timely.run_wrong(fault, tmp_path, _server(kind, request))
    assert outcome.is_noticed, outcome
