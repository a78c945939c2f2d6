"""lamson_milter.libmilter.verdict_log: the log names filter and client."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lamson import metrics
from lamson.smtp.envelope import Peer, Sasl
from lamson.smtp.reply import Reply
from lamson_milter.libmilter import verdict_log
from tests.unit.milter.support import BY_NAME, Dialogue, names

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NO = Reply(550, "5.7.1", "no")


def test_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    peer = Peer("a.test", "192.0.2.1", sasl=Sasl("zed"))
    verdict_log.refused("sender", NO, "app.filters.f", peer, sender="x@y.test")
    verdict_log.refused("recipient", NO, None, Peer(addr="::1"), queue_id="4b", recipient="<a@b.c>")
    first, second = caplog.messages
    assert first == (
        "refused id=NOQUEUE stage=sender sender=x@y.test filter=app.filters.f "
        'client=a.test[192.0.2.1] login=zed reply="550 5.7.1 no"'
    )
    assert second == (
        'refused id=4b stage=recipient recipient=<a@b.c> client=unknown[::1] reply="550 5.7.1 no"'
    )


def test_the_end_of_a_message(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO)
    dialogue = Dialogue(tmp_path, BY_NAME)

    def lines(*users: str) -> list[str]:
        caplog.clear()
        outcome = dialogue.message(*names(*users))
        verdict_log.ended(dialogue.transaction, outcome, dialogue.connection.peer, "4bYm")
        return [line.replace("filters_under_test_", "") for line in caplog.messages]

    name = str(dialogue.connection.rules.filters.all[0]).replace("filters_under_test_", "")
    removed, filtered = lines("one", "reject")
    assert removed == (
        f'removed id=4bYm recipient=reject@test.com filter={name} reply="550 5.7.9 no"'
    )
    assert filtered == (
        "filtered id=4bYm sender=zed@sender.test recipients=2 verdict=accepted "
        "client=client.test[192.0.2.1] edits=3"
    )
    for user, verdict in (
        ("reject", f'rejected filter={name} client=client.test[192.0.2.1] reply="550 5.7.9 no"'),
        ("discard", f"discarded filter={name} client=client.test[192.0.2.1]"),
        ("accept", f"accepted filter={name} client=client.test[192.0.2.1] edits=2"),
        ("hold", f"quarantined filter={name} client=client.test[192.0.2.1] reason=held edits=2"),
    ):
        (line,) = lines(user)
        assert line == f"filtered id=4bYm sender=zed@sender.test recipients=1 verdict={verdict}"


def test_verdicts_are_counted(tmp_path: Path) -> None:
    board = metrics.Board(1)
    metrics.begin(board, board.take("milter") or 0)
    dialogue = Dialogue(tmp_path, BY_NAME)
    for user in ("reject", "discard", "accept", "accept", "hold"):
        outcome = dialogue.message(*names(user))
        verdict_log.ended(dialogue.transaction, outcome, dialogue.connection.peer, "4bYm")
    verdict_log.refused("sender", NO, "app.filters.f", Peer("a.test", "192.0.2.1"))
    verdict_log.refused("sender", Reply(451, "4.7.1", "later"), None, Peer("a.test", "192.0.2.1"))
    metrics.stop()
    found = {key[1]: number for key, number in board.totals().counts.items() if number}
    assert found == {
        "accepted": 2,
        "discarded": 1,
        "quarantined": 1,
        "rejected": 2,
        "deferred": 1,
    }
