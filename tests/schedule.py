"""Which tests share a worker of pytest-xdist, and what begins first.

The tests of a file stay together, since they may share what is costly to start; those of `APART`
are long and share nothing, and each may go to any worker. All of `TOGETHER` need one and the same
thing, such as the system of containers. What takes longest begins first, so that no worker is left
alone with it at the end.

By the name of a test, not by a mark: whoever distributes them knows their names alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest
    from xdist.remote import Producer

TOGETHER = ("tests/docker/",)
APART = (
    "tests/bench/",
    "tests/cli/",
    "tests/docs/test_postfix",
    "tests/docs/test_tutorial",
    "tests/errors/",
    "tests/examples/test_generated",
    "tests/faults/test_faults",
    "tests/intro/test_generated",
    "tests/postfix/test_doctor_",
    "tests/postfix/test_examples",
    "tests/postfix/test_milter.",
    "tests/postfix/test_milter_killed",
    "tests/postfix/test_socketmap",
    "tests/postfix/test_stories",
    "tests/postfix/test_submission",
    "tests/postfix/test_tls",
    "tests/postgres/test_outage",
    "tests/postgres/test_services",
    "tests/supervisor/",
)
LONGEST_FIRST = (
    "tests/docker/",
    "tests/systemd/",
    "tests/faults/",
    "tests/intro/",
    "tests/docs/",
    "tests/examples/",
    "tests/web/",
    "tests/milter/",
    "tests/postfix/",
    "tests/postgres/",
    "tests/security/",
    "tests/supervisor/",
    "tests/errors/",
    "tests/bench/",
    "tests/cli/",
)


class Scheduling(LoadScopeScheduling):
    """Gives a worker the next unit of tests when it is nearly through with those it has."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # they come in the order of `in_order`

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def unit(nodeid: str) -> str:
    """The name of what is run on one worker, one after the other."""
    if nodeid.startswith(APART):
        return nodeid
    return next(filter(nodeid.startswith, TOGETHER), nodeid.partition("::")[0])


def in_order(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests, what takes longest first."""
    return sorted(items, key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    places = enumerate(LONGEST_FIRST)
    return next((rank for rank, place in places if nodeid.startswith(place)), len(LONGEST_FIRST))
