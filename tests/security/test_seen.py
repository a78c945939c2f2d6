"""A waiting mail cannot be made to vanish: a known queue id with another content proves nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lamson.smtp.envelope import QueueId
from tests.postfix.conftest import make_postfix, make_stage, sink, stage, stories_project
from tests.security.lmtp_forger import FORGER

if TYPE_CHECKING:
    from tests.postfix.stage import Stage
    from tests.security.neighbour import Neighbour

__all__ = ["make_postfix", "make_stage", "sink", "stage", "stories_project"]  # fixtures

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

RECIPIENT = "counted-two@app.test"


def test_a_neighbour_cannot_make_a_waiting_mail_vanish(stage: Stage, neighbour: Neighbour) -> None:
    """He reads its queue id in mailq, which everybody may ask, and uses it before the retry."""
    broken = stage.lamson.project / "run" / "broken-two"
    broken.touch()
    sent = stage.write("boss@sender.test", RECIPIENT, subject="Order")
    stage.postfix.wait_log(sent.queue_id, "status=deferred", "451")
    broken.unlink()

    forged = neighbour.python(
        FORGER, str(stage.lamson.port), sent.queue_id, "boss@sender.test", RECIPIENT
    )
    assert forged.stdout.splitlines()[-1].startswith("250"), (forged.stdout, forged.stderr)
    again = neighbour.python(
        FORGER, str(stage.lamson.port), sent.queue_id, "boss@sender.test", RECIPIENT
    )
    assert again.stdout == forged.stdout
    stage.lamson.wait_log("duplicate", sent.queue_id)

    stage.postfix.retry(sent.queue_id)
    stage.postfix.wait_log(sent.queue_id, "status=sent")
    stage.settle()
    assert stage.query("select count(*) from effect where queue_id = ?", sent.queue_id) == [(2,)]
    assert len(stage.lamson.log_lines("duplicate")) == 1
    (line,) = stage.lamson.log_lines("ERROR", "with another content")
    assert f"id={sent.queue_id} recipient={RECIPIENT}" in line


def test_the_key_begins_with_the_time_that_postfix_tells(stage: Stage) -> None:
    before = time.time()
    sent = stage.write("zed@sender.test", RECIPIENT)
    stage.settle()
    microseconds = QueueId(sent.queue_id).microseconds
    assert before - 1 < microseconds / 1e6 < time.time() + 1
    assert stage.query("select substr(key, 1, 8) from lamson_seen") == [
        (microseconds.to_bytes(8, "big"),)
    ]
