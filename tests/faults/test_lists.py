"""A post to a list whose workers are killed on the way: nobody gets it twice, nobody is missed.

The long form is that of `make faults`: 10,000 members, ten kills.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson import failpoint
from tests.faults.list_rig import ListRig, run

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS, PIECE, KILLS = 160, 20, 2

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("_unmeasured"),
]


def test_each_member_has_it_once(tmp_path: Path) -> None:
    point = failpoint.AFTER_COMMIT
    rig = ListRig(tmp_path, None, members=MEMBERS, piece=PIECE, failpoint=point)
    count = run(rig, KILLS)
    assert count.is_clean, (count, rig.lamson.log_lines())
    assert 1 <= count.kills <= KILLS  # the rest may be through before the second


def test_the_count_notices_a_lamson_that_is_wrong(tmp_path: Path) -> None:
    """A piece that is taken from the table before it is done is lost with who dies over it."""
    rig = ListRig(
        tmp_path, None, members=MEMBERS, piece=PIECE, failpoint=failpoint.AFTER_TAKE,
        weakness="taken-early",
    )  # fmt: skip
    count = run(rig, 1)
    assert count.kills == 1
    assert count.missed
