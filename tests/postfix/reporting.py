"""A stage whose Postfix reports what becomes of tracked mail, and what was told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postfix.sender import letter
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.sink import Delivered
    from tests.postfix.stage import Stage


@pytest.fixture
def reporting(make_stage: Callable[..., Stage]) -> Stage:
    """A stage whose Postfix gives up soon, asks the socketmap, and is asked for all reports."""
    port = free_port()
    stage = make_stage(
        main={
            "relay_recipient_maps": f"socketmap:inet:127.0.0.1:{port}:recipient",
            "delay_warning_time": "1s",
            "maximal_queue_lifetime": "5s",
        },
        submission={
            "smtpd_recipient_restrictions": "check_recipient_access inline:{"
            "{refused@world.test = 550 5.1.1 nobody here by that name}}"
        },
        environment={
            "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{port}",
            "LAMSON_SUBMISSION__NOTIFY": "FAILURE,DELAY,SUCCESS",
        },
    )
    wait_for(lambda: listening(port), "the socketmap")
    return stage


def told(stage: Stage, kind: str) -> list[tuple[object, ...]]:
    return stage.query(
        "select recipient, status, state, subject from told where kind = ? order by id", kind
    )


def invite(stage: Stage, who: str, *people: str) -> None:
    stage.write(
        who, "invite@app.test", content=letter(who, "invite@app.test", who, " ".join(people))
    )


def everything(stage: Stage) -> list[tuple[object, ...]]:
    return [*stage.query("select * from told"), *map(tuple, map(str, stage.postfix.queue()))]


def everybody_else(stage: Stage) -> list[Delivered]:
    """What left that is no invitation."""
    return [one for one in stage.sink.messages if not one.message["Subject"].startswith("Come")]
