"""Each fault in a short form; `make faults` has the long one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults import catalogue
from tests.faults.rig import Impossible
from tests.faults.run import Plan, run, run_wrong
from tests.postfix.instance import why_not

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.fault import Fault, Kind
    from tests.postgres import PostgresInstance

SHORT = Plan(messages=40, injections=3)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postfix,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("_unmeasured"),
]


def _cases(kinds: slice) -> list[object]:
    return [
        pytest.param(
            fault,
            kind,
            id=f"{fault.name}-{kind}",
            marks=[pytest.mark.postgres] if kind == "postgres" else [],
        )
        for fault in catalogue.FAULTS
        for kind in fault.databases[kinds]
        if kind not in fault.long_on
    ]


@pytest.mark.parametrize(("fault", "kind"), _cases(slice(None)))
def test_nothing_is_lost_and_nothing_happens_twice(
    fault: Fault, kind: Kind, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with _possible():
        outcome = run(fault, SHORT, tmp_path, _server(kind, request))
    assert outcome.is_clean, outcome
    assert outcome.injected == outcome.survived == SHORT.injections


@pytest.mark.parametrize(("fault", "kind"), _cases(slice(1)))
def test_the_count_notices_a_lamson_that_is_wrong(
    fault: Fault, kind: Kind, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with _possible():
        outcome = run_wrong(fault, tmp_path, _server(kind, request))
    assert not outcome.is_clean, outcome
    if not fault.why_not_twice:
        assert outcome.tally.duplicated, outcome


def _server(kind: Kind, request: pytest.FixtureRequest) -> PostgresInstance | None:
    return request.getfixturevalue("postgres") if kind == "postgres" else None


@contextmanager
def _possible() -> Iterator[None]:
    """Skips the test where the fault cannot be injected on this machine."""
    if reason := why_not():
        pytest.skip(reason)
    try:
        yield
    except Impossible as error:
        pytest.skip(str(error))
