"""What was measured stays: floors for ours, and that nobody else keeps more of what is new.

The figures in full: ``python -m tests.fragments --all``.
"""

from __future__ import annotations

import pytest

from tests.fragments.measure import kinds, others, ours, score
from tests.fragments.messages import messages

EVERY = list(messages())


def test_the_set() -> None:
    assert len(EVERY) >= 300
    kept_back = sum(one.is_kept_back for one in EVERY)
    assert 0.4 < kept_back / len(EVERY) < 0.6
    assert len({one.name for one in EVERY}) == len(EVERY)


@pytest.mark.parametrize("is_kept_back", [False, True])
def test_ours(is_kept_back: bool) -> None:
    half = [one for one in EVERY if one.is_kept_back is is_kept_back]
    found = score(half, ours)
    assert found.recall >= 0.99, found.wrong
    assert found.precision >= 0.97, found.wrong
    for kind, (precision, recall) in kinds(half).items():
        assert precision >= 0.95, kind
        assert recall >= 0.95, kind


def test_beside_others() -> None:
    some = EVERY[::7]
    mine = score(some, ours)
    for name, new_text in others().items():
        theirs = score(some, new_text)
        assert mine.recall >= theirs.recall, name
        assert mine.precision >= theirs.precision, name
