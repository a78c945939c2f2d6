"""`lamson trace` behind a real Postfix: a mail, its answer, and the bounce of that answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.postfix.reporting import everything, told
from tests.postfix.sender import letter
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow]


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    port = free_port()
    stage = make_stage(
        main={"relay_recipient_maps": f"socketmap:inet:127.0.0.1:{port}:recipient"},
        environment={
            "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{port}",
            "LAMSON_JOURNAL__KEEP": "headers",
        },
    )
    wait_for(lambda: listening(port), "the socketmap")
    return stage


def test_a_mail_its_answer_and_the_bounce_of_that_are_one_life(stage: Stage) -> None:
    stage.sink.refuse("gone@world.test", "550 5.1.1 No such user here")
    mail = letter("ann@sender.test", "invite@app.test", "ann@sender.test", "gone@world.test")
    sent = stage.write("ann@sender.test", "invite@app.test", content=mail)
    wait_for(lambda: told(stage, "failed"), lambda: f"the bounce: {everything(stage)}")
    stage.settle()
    came = str(sent.data[1]).rpartition("queued as ")[2].split("'")[0].split()[0].rstrip("'\"")
    log = str(stage.postfix.base / "maillog")

    def trace(id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(stage.lamson.command("trace", id, "-json", "-log", log))
        return found

    life = trace(came)
    ids = life["ids"]
    events = [(one["where"], ids.index(one["id"]), one["what"]) for one in life["events"]]
    _, left, bounce = range(3)
    assert events.index(("lamson", 0, "received")) < events.index(("lamson", 0, "submitted"))
    told_by = [one["fields"].get("status") for one in life["events"] if one["what"] == "smtp"]
    assert told_by == ["bounced"]
    assert ("postfix", left, "bounce") in events or ("postfix", bounce, "bounce") in events
    outcome = next(one for one in life["events"] if one["what"] == "outcome")
    assert outcome["fields"]["kind"] == "failed"
    rows = [one["fields"] for one in life["events"] if one["what"] == "journal"]
    assert [one["direction"] for one in rows].count("out") == 1
    assert any(one.get("about") == "failed gone@world.test 5.1.1" for one in rows)
    answer = next(one for one in rows if one["direction"] == "out")
    assert answer["outcome"] == "submitted"

    # Each start of the command takes a moment: an id of each kind that is not one of Postfix's.
    for other in (ids[-1], answer["row"], answer["envid"], "Gone@World.test"):
        again = trace(other)
        assert set(ids) <= set(again["ids"]), other
