"""Each fault in a short form; `make faults` has the long one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import catalogue
from tests.faults.rig import Impossible
from tests.faults.run import Outcome, Plan, run
from tests.postfix.instance import why_not

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.fault import Fault, Kind

SHORT = Plan(messages=100, injections=3)
WRONG = Plan(messages=60, injections=2)

pytestmark = [pytest.mark.slow, pytest.mark.postfix, pytest.mark.timeout(300)]


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
    ]


@pytest.mark.parametrize(("fault", "kind"), _cases(slice(None)))
def test_nothing_is_lost_and_nothing_happens_twice(
    fault: Fault, kind: Kind, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    outcome = _run(fault, kind, SHORT, tmp_path, request)
    assert outcome.is_clean, outcome
    assert outcome.injected == outcome.survived == SHORT.injections


@pytest.mark.parametrize(("fault", "kind"), _cases(slice(1)))
def test_the_count_notices_a_lamson_that_is_wrong(
    fault: Fault, kind: Kind, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    outcome = _run(fault, kind, WRONG, tmp_path, request, fault.weakness)
    assert not outcome.is_clean, outcome
    if not fault.why_not_twice:
        assert outcome.tally.duplicated, outcome


def _run(
    fault: Fault,
    kind: Kind,
    plan: Plan,
    directory: Path,
    request: pytest.FixtureRequest,
    weakness: str = "",
) -> Outcome:
    if reason := why_not():
        pytest.skip(reason)
    server = request.getfixturevalue("postgres") if kind == "postgres" else None
    try:
        return run(fault, plan, directory, server, weakness)
    except Impossible as error:
        pytest.skip(str(error))
