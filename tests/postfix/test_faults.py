"""The doctor on the catalogue of faults, and on what is done to a configuration and is well.

`python -m tests.postfix.faults.catalogue` tells how many it names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postfix.faults.bases import Base
from tests.postfix.faults.catalogue import FAULTS, READ, tried
from tests.postfix.faults.fault import MAIL, PROBE
from tests.postfix.faults.healthy import HEALTHY
from tests.postfix.instance import why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.postfix.faults.fault import Fault

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def base() -> Iterator[Callable[[str], Base]]:
    """Gives the configuration for a kind of project, each made once."""
    made: dict[str, Base] = {}

    def get(kind: str) -> Base:
        return made.get(kind) or made.setdefault(kind, Base(kind))

    yield get
    for one in made.values():
        try:
            assert one.findings() == [], "what was broken is as it was"
        finally:
            one.close()


def test_each_fault_is_there_once() -> None:
    assert len({one.name for one in FAULTS}) == len(FAULTS)
    assert len(FAULTS) > 68 + 40
    assert sum(one.found_by == MAIL for one in FAULTS) < 15


def test_each_finding_is_in_the_reference() -> None:
    page = (HERE.parent.parent / "docs" / "reference" / "findings.md").read_text()
    codes = {code for one in FAULTS if one.found_by != MAIL for code in one.named}
    of_plan = re.compile(r"[a-z]+(_[a-z]+)+|lamson|127\.0\.0\.1:10587")  # a parameter, or a service
    lacking = [one for one in codes if f"`{one}`" not in page and not of_plan.fullmatch(one)]
    assert lacking == []


@pytest.mark.parametrize("fault", READ, ids=str)
def test_it_is_named_and_nothing_else(base: Callable[[str], Base], fault: Fault) -> None:
    assert tried(base(fault.base), fault) == set(fault.named)


@pytest.mark.parametrize("healthy", HEALTHY, ids=str)
def test_what_is_well_is_not_named(base: Callable[[str], Base], healthy: Fault) -> None:
    assert tried(base(healthy.base), healthy) == set()


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.found_by == PROBE], ids=str)
def test_what_only_trying_finds_is_named_by_another_test(fault: Fault) -> None:
    """These need services that are up, or down."""
    assert f'"{fault.named[0]}' in (HERE.parent / fault.shown_in).read_text()


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.found_by == MAIL], ids=str)
def test_what_only_a_message_shows(fault: Fault) -> None:
    pytest.skip(f"{fault}: lamson postfix check -deliver sends one")
