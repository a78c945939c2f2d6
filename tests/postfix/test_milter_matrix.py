"""Each verdict at each stage on a real Postfix. What comes out is the table in docs/milter.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postfix.milter import MilterService, talk
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postfix.instance import PostfixInstance
    from tests.postfix.sink import Sink

pytest.importorskip("milter", reason="pymilter is not installed (pip install '.[milter]')")

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

DOCS = Path(__file__).parents[2] / "docs" / "milter.md"

VERDICTS = ("None", "Accept", "Reject", "Defer", "Discard", "Quarantine")
STAGES = ("connection", "sender", "recipient", "message")

FILTERS = """
from lamson_milter import actions

VERDICTS = {
    "none": None,
    "accept": Accept,
    "reject": Reject("5.7.9", "refused by the test"),
    "defer": Defer("4.7.9", "deferred by the test"),
    "discard": Discard,
    "quarantine": Quarantine("held by the test"),
}
SOURCES = {f"127.0.1.{number}": name for number, name in enumerate(VERDICTS, 1)}

@filter_connection
def connection(client: Connection) -> Verdict:
    return VERDICTS[SOURCES.get(client.peer.addr, "none")]

@filter_sender
def sender(mail: Arrival) -> Verdict:
    return VERDICTS.get(mail.sender.partition("@")[0])

@filter_recipient("recipient-(name)@test.com", name="[a-z]+")
def recipient(mail: Arrival, name: str) -> Verdict:
    mail.add_header("X-Recipient", name)
    return VERDICTS[name]

@filter_message("message-(name)@test.com", name="[a-z]+")
def message(mail: FilteredMail, name: str) -> Verdict:
    mail.add_header("X-Message", name)
    return VERDICTS[name]
"""


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[PostfixInstance, Sink]]:
    from tests.postfix.instance import PostfixInstance, why_not
    from tests.postfix.sink import Sink

    if reason := why_not():
        pytest.skip(reason)
    service = MilterService(FILTERS)
    try:
        with Sink() as sink, service:
            postfix = PostfixInstance(
                sink_port=sink.port,
                routes={"test.com": f"smtp:[127.0.0.1]:{sink.port}"},
                incoming={"smtpd_milters": f"unix:{service.socket}"},
            )
            with postfix:
                yield postfix, sink
    finally:
        service.remove()


def observe(postfix: PostfixInstance, sink: Sink, stage: str, verdict: str) -> str:
    """One row of the table."""
    name = verdict.lower()
    number = VERDICTS.index(verdict) + 1
    recipient = f"{stage}-{name}@test.com" if stage in ("recipient", "message") else "r@test.com"
    seen = talk(
        postfix.smtp_port,
        f"{name}@sender.test" if stage == "sender" else "zed@sender.test",
        recipient,
        source=f"127.0.1.{number}" if stage == "connection" else "127.0.0.1",
    )
    queued = "nothing"
    if seen.queue_id:
        ends = ("milter-hold", "milter-discard", "status=sent")
        line = wait_for(
            lambda: next(
                (line for end in ends for line in postfix.log_lines(seen.queue_id, end)), ""
            ),
            postfix.log_text,
        )
        if "milter-hold" in line:
            assert [entry["queue_name"] for entry in postfix.queue()] == ["hold"]
            postfix.run("postsuper", "-d", seen.queue_id)
            queued = "the message, on hold"
        elif "milter-discard" not in line:
            (message,) = sink.wait(to=recipient)
            sink.messages.clear()
            assert (f"X-{stage.title()}: {name}".encode() in message.content) == (
                stage in ("recipient", "message")
            )
            queued = "the message"
    return f"| {stage} | `{verdict}` | {seen.refusal or '250'} | {queued} |"


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("stage", STAGES)
def test_matrix(running: tuple[PostfixInstance, Sink], stage: str, verdict: str) -> None:
    row = observe(*running, stage, verdict)
    print(row)
    assert row in DOCS.read_text().splitlines()
