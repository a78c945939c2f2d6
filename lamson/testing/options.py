"""What pytest is told of the tests of an application, on its command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

THROUGH, POSTFIX, CHAOS = "--lamson-through", "--lamson-postfix", "--lamson-chaos"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lamson", "tests of an application of Lamson")
    group.addoption(
        CHAOS,
        action="store_true",
        help="fail each delivery once after its handlers have worked, bring it twice then, and fail"
        " a test where anything was done twice",
    )
    group.addoption(
        THROUGH,
        choices=("nothing", "dev", "postfix"),
        default="nothing",
        help="have mail go through a `lamson dev` that is started for the tests, or through a"
        " Postfix of yours and a service; default: through nothing, in the process of the tests",
    )
    group.addoption(
        POSTFIX,
        default="",
        metavar="smtp=PORT,sink=PORT,config=DIR",
        help="that Postfix: where it takes mail in, where it sends all that the service submits,"
        " and its configuration directory",
    )
