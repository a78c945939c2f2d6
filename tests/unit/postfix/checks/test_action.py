"""lamson.postfix.checks.action: what an answer of a table does to mail."""

from __future__ import annotations

import pytest

from lamson.postfix.checks import action
from lamson.postfix.checks.action import CHANGED, DEFERRED, DISCARDED, ELSEWHERE, HELD, REFUSED


@pytest.mark.parametrize(
    ("answer", "effect"),
    [
        ("REJECT no such list", REFUSED), ("reject", REFUSED), ("554 5.7.1 No", REFUSED),
        ("450 4.2.0 later", DEFERRED), ("defer_if_permit x", DEFERRED), ("DISCARD", DISCARDED),
        ("HOLD", HELD), ("FILTER smtp:[x]", ELSEWHERE), ("REDIRECT bob@x.test", ELSEWHERE),
        ("IGNORE", CHANGED), ("REPLACE Subject: x", CHANGED),
        ("OK", None), ("DUNNO", None), ("PREPEND X-Seen: yes", None), ("WARN", None), ("", None),
        ("1234", None), ("permit_mynetworks, reject", None),
    ],
)  # fmt: skip
def test_the_effect_of_an_answer(answer: str, effect: action.Effect | None) -> None:
    assert action.effect(answer) == effect


def test_what_lets_pass() -> None:
    assert [one for one in ("OK", "ok", "12", "DUNNO", "450 x", "") if action.permits(one)] == [
        "OK", "ok", "12",
    ]  # fmt: skip
