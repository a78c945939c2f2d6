"""Each fault in a short form, on its databases by turns; `make faults` has all in the long one.

That the count notices a Lamson that is wrong is shown here once for most ways of being wrong, and
there for each fault: the suite has to end within its time.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults import catalogue
from tests.faults.fault import (
    ANY_CONTENT,
    EARLY_DELETES,
    FORGETFUL_STATES,
    LOST_DELETES,
    MAIL_APART,
    NO_KEYS,
    NO_ORDER,
    TOLD_AGAIN,
)
from tests.faults.rig import Impossible
from tests.faults.run import Plan, run, run_wrong
from tests.postfix.instance import why_not

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.fault import Fault, Kind
    from tests.postgres import PostgresInstance

# What a mistake has to show as, whatever else comes of it.
_SHOWS = {FORGETFUL_STATES: "strayed", NO_ORDER: "overtaken", ANY_CONTENT: "lost"}

# What takes many strikes, or long ones, until it shows: for `make faults` alone.
_LONG = {EARLY_DELETES, LOST_DELETES, MAIL_APART, NO_KEYS, TOLD_AGAIN}

SHORT = Plan(messages=40, injections=3)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postfix,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("_unmeasured"),
]


def _by_turns(number: int, fault: Fault) -> list[Kind]:
    """One database of a fault that strikes both."""
    kinds = [kind for kind in fault.databases if kind not in fault.long_on]
    return kinds[number % len(kinds) :][:1] if kinds else []


def _clean_cases() -> list[object]:
    return [
        pytest.param(fault, kind, id=f"{fault.name}-{kind}", marks=_marks(kind))
        for number, fault in enumerate(catalogue.FAULTS)
        for kind in _by_turns(number, fault)
    ]


def _wrong_cases() -> list[object]:
    """The first fault of the catalogue that each weakness is for."""
    pairs = [(fault, one) for fault in catalogue.FAULTS for one in fault.weaknesses]
    pairs = [pair for pair in pairs if pair[1] not in _LONG]
    first = {weakness: fault for fault, weakness in reversed(pairs)}
    return [
        pytest.param(
            fault,
            fault.databases[0],
            weakness,
            id=f"{weakness}-{fault.name}",
            marks=_marks(fault.databases[0]),
        )
        for weakness, fault in first.items()
    ]


def _marks(kind: Kind) -> list[pytest.MarkDecorator]:
    return [pytest.mark.postgres] if kind == "postgres" else []


@pytest.mark.parametrize(("fault", "kind"), _clean_cases())
def test_nothing_is_lost_and_nothing_happens_twice(
    fault: Fault, kind: Kind, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with _possible():
        outcome = run(fault, SHORT, tmp_path, _server(kind, request))
    assert outcome.is_clean, outcome
    assert outcome.injected == outcome.survived == SHORT.injections


@pytest.mark.parametrize(("fault", "kind", "weakness"), _wrong_cases())
def test_the_count_notices_a_lamson_that_is_wrong(
    fault: Fault, kind: Kind, weakness: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with _possible():
        outcome = run_wrong(fault, weakness, tmp_path, _server(kind, request))
    assert not outcome.is_clean, outcome
    if shows := _SHOWS.get(weakness):
        assert getattr(outcome.tally, shows), outcome
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
