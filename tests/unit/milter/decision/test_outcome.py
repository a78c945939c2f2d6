"""lamson_milter.decision.outcome: one decision of many verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson_milter.actions import (
    AddHeader,
    RemoveRecipient,
)
from tests.unit.milter.support import BY_NAME, Dialogue, names

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("users", "verdict", "reply"),
    [
        (("one",), "accepted", ""),
        (("reject",), "rejected", "550 5.7.9 no"),
        (("reject", "reject"), "rejected", "550 5.7.9 no"),
        (("one", "defer"), "deferred", "451 4.7.9 later"),
        (("reject", "defer"), "deferred", "451 4.7.9 later"),
        (("discard",), "discarded", ""),
        (("discard", "reject"), "rejected", "550 5.7.9 no"),
        (("one", "hold"), "quarantined", ""),
        (("hold", "discard"), "quarantined", ""),
        (("raise",), "rejected", "550 5.7.8 raised"),
        (("later",), "deferred", "450 4.7.8 raised"),
    ],
)
def test_decisions(tmp_path: Path, users: tuple[str, ...], verdict: str, reply: str) -> None:
    outcome = Dialogue(tmp_path, BY_NAME).message(*names(*users))
    assert (str(outcome), str(outcome.refusal or "")) == (verdict, reply)
    if verdict in ("rejected", "deferred", "discarded"):
        assert not outcome.edits


def test_rejected_recipients_are_removed_and_their_edits_dropped(tmp_path: Path) -> None:
    outcome = Dialogue(tmp_path, BY_NAME).message(*names("one", "reject", "discard", "two"))
    assert outcome.edits == [
        AddHeader("X-User", "one"),
        AddHeader("X-Same", "yes"),
        AddHeader("X-User", "two"),
        RemoveRecipient("reject@test.com"),
        RemoveRecipient("discard@test.com"),
    ]
    assert [(recipient, str(reply)) for recipient, reply in outcome.removed] == [
        ("reject@test.com", "550 5.7.9 no"),
        ("discard@test.com", "None"),
    ]


def test_taking_every_recipient_away_discards_the_message(tmp_path: Path) -> None:
    source = """
    @filter_message("(user)@(host)")
    def edit(message, user, host):
        message.remove_recipient()
    """
    assert str(Dialogue(tmp_path, source).message()) == "discarded"
